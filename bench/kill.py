"""SIGKILL at random moments: what does a killed command lose, and does the same command finish the work?

Claim: at least 50 kills over `posellm add`, extraction, the tokenizer, the snapshot and its examples, the three stages
and the promotion, seeded, leave no file torn and no clip without its sidecar, and after the same command has finished
the work no artefact is lost or other than those of an undisturbed run: the same bytes, losses and weights included.
Nothing is left behind in the drop zone, and `posellm lake check` finds nothing. Left out of the comparison is what says
when or how fast something was done, and checksums: what was killed before it had recorded one has none.

Half of the kills come at a moment drawn over the time that the command takes; the other half at a write drawn among
those that it makes (a file opened for writing, renamed, linked or removed, a folder made), which hits saves, uploads
and the promotion however short they are. Commands run in forks of this process, so that a restart does not load torch
again; a clip is 1.5 s, a stage 12 steps.

    python bench/kill.py [--kills 52] [--seed 0] [--keep FOLDER]
"""

import argparse
import dataclasses
import json
import logging
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forks import came_to_its_end, fork
from lakes import compared, torn

from posellm_assets.footage.labels import sidecar_of
from posellm_assets.lake import Lake
from posellm_assets.lake_check.faults import faults

STAGES = ("stage1", "stage2", "stage3")
SHARES = {
    "add": 8,
    "extraction": 8,
    "tokenizer": 8,
    "snapshot": 6,
    "stage1": 8,
    "stage2": 8,
    "stage3": 8,
    "promotion": 6,
}
CLIPS = 6
SETTINGS: dict[str, Any] = {
    "automation": {"rules": {"all": {"min_new_videos": 1_000}}},
    "tokenizer": {
        **{
            "start": "own",
            "codes": 16,
            "code_size": 8,
            "width": 16,
            "encoder_blocks": 1,
            "decoder_blocks": 1,
            "windows": [16, 24],
        },
        **{"steps": 24, "checkpoint_every": 5, "frames_per_batch": 96, "speeds": [1.0]},
    },
    "language": {
        "model": {
            "tiny": {
                **{"hidden_size": 32, "layers": 2, "attention_heads": 2, "key_value_heads": 1, "head_size": 16},
                **{"intermediate_size": 64, "text_tokens": 320},
            },
            "backend": "hf",
        },
        "stages": [
            {"name": name, "tasks": tasks, "steps": 12, "row_tokens": 128, "rows_per_batch": 2, **more}
            for name, tasks, more in (
                ("stage1", {"motion": 1.0}, {"checkpoint_every": 3}),
                ("stage2", {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2}, {"batches_per_step": 2}),
                ("stage3", {"t2m": 0.6, "m2t": 0.4}, {"evaluate_every": 3, "patience": 3}),
            )
        ],
    },
}


@dataclass
class Tally:
    """What became of one phase."""

    kills: dict[str, int] = field(default_factory=lambda: {"moment": 0, "write": 0})
    rounds: int = 0
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    """What was being written when a kill came."""

    @property
    def count(self) -> int:
        """Kills in all."""
        return sum(self.kills.values())


class Home:
    """The folder in which everything happens: a lake and a Dagster home, and copies of them."""

    def __init__(self, root: Path):
        self.root, self.state = root, root / "state"
        self.rendered = root / "rendered"
        self.lake, self.writes, self.log = self.state / "lake", root / "writes.log", root / "output.log"
        (self.state / "home").mkdir(parents=True)
        (self.state / "posellm.yaml").write_text(json.dumps(SETTINGS))
        os.environ["POSELLM_LAKE"] = str(self.lake)

    def keep(self, name: str) -> Path:
        """Keep a copy of the state as it is now."""
        shutil.rmtree(self.root / name, ignore_errors=True)
        return shutil.copytree(self.state, self.root / name)

    def restore(self, name: str) -> None:
        """Go back to a copy."""
        shutil.rmtree(self.state)
        shutil.copytree(self.root / name, self.state)


def attempt(home: Home, command: Callable[[], None], at_write: int | None, after_s: float | None, group: bool) -> bool:
    """Run `command` in a fork, and kill it at a write or after a time; returns whether it came to its end."""
    home.writes.unlink(missing_ok=True)
    child = fork(lambda: _observed(home, command, at_write))
    waiting = os.pidfd_open(child)
    ended, _, _ = select.select([waiting], [], [], after_s)
    os.close(waiting)
    if not ended:
        if group:
            with suppress(ProcessLookupError):  # it does not lead its group yet
                os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
    return came_to_its_end(child, lambda: home.log.read_text()[-6000:])


def _observed(home: Home, command: Callable[[], None], at_write: int | None) -> None:
    """What a fork does: it leads a group of its own, logs what it says, and counts what it writes."""
    os.setsid()
    output = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.addaudithook(_counting(home, at_write))
    command()


def _counting(home: Home, at_write: int | None) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that writes down every write below the lake, and kills this process at number `at_write`."""
    log = os.open(home.writes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    below, done = str(home.lake), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if event == "open":
            if not isinstance(arguments[0], str | os.PathLike) or not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"):
            return
        path = os.fsdecode(arguments[1 if event == "os.link" else 0])
        if path.startswith(f"{below}/"):
            done += 1
            os.write(log, f"{event} {path[len(below) + 1 :]}\n".encode())
            if done == at_write:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def endure(home: Home, command: Callable[[], None], wanted: int, draw: random.Random) -> Tally:
    """Kill `command` `wanted` times, with as many fresh beginnings as that takes; leaves the work finished."""
    home.keep("before")
    began = time.monotonic()
    if not attempt(home, command, None, None, group=True):
        raise RuntimeError("the undisturbed run was killed by somebody else")
    takes_s, writes = time.monotonic() - began, len(home.writes.read_text().splitlines())
    home.keep("reference")
    tally = Tally()
    while tally.count < wanted:
        home.restore("before")
        tally.rounds += 1
        ended = False
        while not ended:
            kind = draw.choice(("moment", "write")) if tally.count < wanted else ""
            at_write = 1 + draw.randrange(writes) if kind == "write" else None
            after_s = draw.uniform(0, takes_s) if kind == "moment" else None
            ended = attempt(home, command, at_write, after_s, group=draw.random() < 0.5)
            if not ended:
                tally.kills[kind] += 1
                tally.places.add(_place(home))
                tally.torn += [*torn(home.lake), *_without_sidecar(home.lake / "raw")]
        lost, different = compared(home.root / "reference" / "lake", home.lake)
        tally.lost += lost
        tally.different += [*different, *map(str, faults(Lake(home.lake)))]
        tally.different += [f"{path} is left behind" for path in (home.lake / "raw").rglob(".*")]
    return tally


def _without_sidecar(raw: Path) -> list[str]:
    """The clips that would be ingested without what was said about them."""
    return [f"{path}: no sidecar" for path in raw.rglob("*.mp4") if not sidecar_of(path).exists()]


def _place(home: Home) -> str:
    """What the last write before a kill was about, in a word."""
    last = home.writes.read_text().splitlines()[-1:] if home.writes.exists() else []
    parts = last[0].split(" ", 1)[1].split("/") if last else ["nothing yet"]
    if "checkpoint-" in "/".join(parts):
        return "upload" if parts[0] == "hub" else "save"
    return parts[0]


def phases(home: Home) -> Iterator[tuple[str, Callable[[], None]]]:
    """The commands in their order; each is run, killed and run again, and finished before the next is asked for."""
    import dagster as dg

    from posellm_assets.definitions import build_defs
    from posellm_assets.defs.catch_up import bring_up_to_date
    from posellm_assets.files import write_json
    from posellm_assets.footage.adding import add_files
    from posellm_assets.footage.manifest import read_manifest
    from posellm_assets.generations import releases
    from posellm_assets.generations.snapshots import build_examples, freeze, read_snapshot, snapshot_keys
    from posellm_assets.generations.tokenizers import adopt_tokenizer, lineage_in_use
    from posellm_assets.jobs.language import stage_job
    from posellm_assets.lake import JOB
    from posellm_assets.language import train
    from posellm_assets.motion import train_tokenizer
    from posellm_assets.motion.config import TokeniseItem, TokeniseJob, TokenizerJob
    from posellm_assets.motion.tokenise import tokenise
    from posellm_assets.settings import load_settings
    from posellm_assets.training import store

    lake = Lake(home.lake)
    settings = load_settings(lake)

    def program(main: Callable[[], None], job: Any, out: Path) -> None:
        write_json(out / JOB, job.model_dump(mode="json"))
        sys.argv = ["program", str(out / JOB)]
        main()

    def add() -> None:
        add_files(lake, sorted(home.rendered.rglob("*.mp4")), "gym")

    def extraction() -> None:
        with dg.DagsterInstance.local_temp(str(home.state / "home")) as instance:
            bring_up_to_date(build_defs(), lake, settings, instance, lambda news: print(news, flush=True))
        if len(lake.captioned_videos()) < CLIPS:
            raise RuntimeError(f"{CLIPS - len(lake.captioned_videos())} clips were left behind")

    def tokenizer() -> None:
        if lineage_in_use(lake):
            return
        out = lake.tokenizer_in_training
        motions = {key: lake.motion(key) for key in lake.captioned_videos()}
        train_keys = [key for key in motions if read_manifest(lake, key).split == "train"]
        held_out = [path for key, path in motions.items() if key not in train_keys]
        paths = [motions[key] for key in train_keys]
        hub = store.url_of(None, lake, "motion_tokenizer", out.name)
        job = TokenizerJob(train=paths, held_out=held_out, out=out, hub=hub, config=settings.tokenizer)
        program(train_tokenizer.main, job, out)
        adopt_tokenizer(lake, reasons=["It is the first."], by="bench/kill.py")

    def snapshot() -> None:
        lineage, keys = lineage_in_use(lake) or "", lake.captioned_videos()
        items = [
            TokeniseItem(motion=lake.motion(key), tokens=lake.motion_tokens(lineage, key), variants=True)
            for key in keys
        ]
        tokenise(TokeniseJob(tokenizer=lake.tokenizer(lineage), items=items))
        if not snapshot_keys(lake):
            freeze(lake, keys, lineage, parent=None, settings={})
        build_examples(lake, read_snapshot(lake, "all-0001"))

    def stage(name: str) -> None:
        job = stage_job(lake, settings, "all-0001", name)
        program(train.main, job, job.out)

    def promotion() -> None:
        if releases.in_use(lake, "language") is None:
            releases.promote(
                lake,
                "language",
                "all-0001",
                folder=lake.finished_model("all-0001", "stage3"),
                lineage=lineage_in_use(lake) or "",
                reasons=["It is the first."],
                by="bench/kill.py",
                instead_of=None,
            )

    yield "add", add
    yield "extraction", extraction
    yield "tokenizer", tokenizer
    yield "snapshot", snapshot
    for name in STAGES:
        yield name, lambda name=name: stage(name)  # type: ignore[misc]
    yield "promotion", promotion


def main() -> int:
    """Print what became of each phase; 1 where anything was torn, lost or other than undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=sum(SHARES.values()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for what was made, which then stays")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Home(arguments.keep or Path(temporary) / "kill")
        render(home.rendered)
        for name, command in phases(home):
            wanted = -(-SHARES[name] * arguments.kills // sum(SHARES.values()))
            draw = random.Random(f"{arguments.seed}/{name}")
            tallies[name] = tally = endure(home, command, wanted, draw)
            print(
                f"{name:11}{tally.kills['moment']:3} kills at a moment,{tally.kills['write']:3} at a write, finished "
                f"{tally.rounds:2} times; torn {len(tally.torn)}, lost {len(tally.lost)}, different "
                f"{len(tally.different)}; last written: {', '.join(sorted(tally.places))}",
                flush=True,
            )
            for fault in [*tally.torn, *tally.lost, *tally.different][:10]:
                print(f"    {fault}")
    kills = sum(tally.count for tally in tallies.values())
    faults = sum(len(tally.torn) + len(tally.lost) + len(tally.different) for tally in tallies.values())
    print(f"{kills} kills; lost or torn artefacts, or other than undisturbed: {faults} (claim: 0)")
    return 0 if faults == 0 else 1


def render(raw: Path) -> None:
    """Render `CLIPS` short clips of different athletes, with one each to validate and to test on."""
    from posellm_assets.demo.footage import plan, render_clip
    from posellm_assets.footage.splits import split_of

    wanted = {"train": CLIPS - 2, "val": 1, "test": 1}
    clips = {clip.participant: clip for clip in random.Random(0).sample(plan(), len(plan()))}
    for clip in clips.values():
        split = split_of(clip.participant)
        wanted[split] -= 1
        if wanted[split] >= 0:
            render_clip(dataclasses.replace(clip, duration_s=1.5), raw)


if __name__ == "__main__":
    sys.exit(main())
