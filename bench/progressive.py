"""What a generation keeps and what it learns, with replay, without, and from scratch. `python bench/progressive.py`

Generation 1 learns half of the actions of a motion capture set (`mocap.py`), generation 2 adds the rest, in three
ways that are printed side by side:

- naive: generation 1 trained on with the new half alone,
- replay: the same with old clips drawn beside the new ones, by the project's default settings,
- from scratch: a new model on everything.

Targets: replay keeps at least 95 % of generation 1's figures on the first half (accuracy of the movement named in the
text about a motion, and likelihood: generation 1's nats per code over generation 2's), reaches at least 90 % of
from-scratch quality on the second half, and costs at most half of it; naive fine-tuning loses more of the first half.

All of it runs through the project's own training program and its own warm start, growth and replay. Codes are those of
a tokenizer that has seen the first half alone, as they are in a lake in which a second sport arrives; what that does to
the second half is printed first. Labels that are each other's mirror image are in the same half, because mirrored clips
teach both. Every choice was made with `--validate`, which trains on train and measures on val; without it the models
train on train and val and are measured on test, once for each seed. Costs are CPU seconds of the programs' processes.
"""

import argparse
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mocap import Take, read_takes, split
from pipeline import train_language, train_tokenizer, write_examples
from rich.console import Console
from rich.table import Table

from posellm_assets import files
from posellm_assets.lake import FINAL, RESULT
from posellm_assets.language.config import STAGES as DEFAULT_STAGES
from posellm_assets.language.config import GenerationConfig, ModelConfig, Replay
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.replay import shortened
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.errors import mpjpe_mm
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.reports.metrics import named_label, share
from posellm_assets.texts.captions import label_words
from posellm_assets.texts.mirror import mirror_text

KEPT, OF_SCRATCH, MOST_COST = 0.95, 0.9, 0.5
TOKENIZER = TokenizerConfig(
    start="own", codes=512, steps=2000, checkpoint_every=1000, speeds=(0.8, 0.9, 1.0, 1.1, 1.25), phases=(0, 1, 2, 3)
)
MODEL = ModelConfig(backend="hf")
STAGES = tuple(
    stage.model_copy(update={"steps": steps}) for stage, steps in zip(DEFAULT_STAGES, (240, 400, 300), strict=True)
)
FIRST, NAIVE, REPLAY, SCRATCH = "generation 1", "naive", "replay", "from scratch"


@dataclass(frozen=True)
class Half:
    """The held-out clips of one half of the actions, and their codes."""

    takes: list[Take]
    codes: list[list[int]]


@dataclass(frozen=True)
class Quality:
    """What a model reaches on a half."""

    named: float
    scored: float
    nats: float


@dataclass(frozen=True)
class Arm:
    """One way to a model: what it cost and what it reaches on the first and the second half."""

    cpu_s: float
    steps: int
    first: Quality
    second: Quality


def main() -> int:
    """Train, measure, print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validate", action="store_true", help="train on train, measure on val")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    defaults = GenerationConfig()
    for name in ("replay", "learning_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    arguments = parser.parse_args()
    generation = GenerationConfig(replay=arguments.replay, learning_rate=arguments.learning_rate)
    torch.set_num_threads(1)
    takes = read_takes()
    parts, first_labels = split(takes), half_of(Counter(take.label for take in takes))
    fit, asked = (parts.train, parts.val) if arguments.validate else ([*parts.train, *parts.val], parts.test)
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        return run(fit, asked, first_labels, generation, arguments.seeds, arguments.work or Path(temporary), console)


def run(
    fit: list[Take],
    asked: list[Take],
    first_labels: set[str],
    generation: GenerationConfig,
    seeds: Sequence[int],
    folder: Path,
    console: Console,
) -> int:
    """All seeds, and the table."""
    old = [take for take in fit if take.label in first_labels]
    new = [take for take in fit if take.label not in first_labels]
    trained = prepare(old, fit, asked, first_labels, folder, console)
    tokenizer = MotionTokenizer.load(trained)
    halves = [
        Half(takes, tokenizer.encode_many([take.motion for take in takes]))
        for takes in (
            [take for take in asked if take.label in first_labels],
            [take for take in asked if take.label not in first_labels],
        )
    ]
    labels = sorted({label_words(take.label) for take in fit})
    ways = {seed: arms(folder, trained, seed, generation, old, new, halves, labels, console) for seed in seeds}
    return 0 if show(list(ways.values()), halves, console) else 1


def half_of(clips: Counter[str]) -> set[str]:
    """About half of the clips by label: labels and their mirror images together, in the order of a hash."""
    pairs = {tuple(sorted({label, mirror_text(label)} & clips.keys())) for label in clips}
    chosen: set[str] = set()
    sizes = [0, 0]
    for pair in sorted(pairs, key=lambda pair: hashlib.sha256("+".join(pair).encode()).hexdigest()):
        side = int(sizes[0] > sizes[1])
        sizes[side] += sum(clips[label] for label in pair)
        if side == 0:
            chosen |= set(pair)
    return chosen


def prepare(
    old: list[Take], fit: list[Take], asked: list[Take], first_labels: set[str], folder: Path, console: Console
) -> Path:
    """Train the tokenizer on the first half, write both data sets, and say what the codes make of the second half;
    returns the tokenizer's folder."""
    first_asked = [take for take in asked if take.label in first_labels]
    trained = train_tokenizer(old, first_asked, folder, TOKENIZER, seed=0)
    tokenizer = MotionTokenizer.load(trained.folder)
    for name, takes in (("first", old), ("all", fit)):
        if not (folder / f"{name}.parquet").exists():
            write_examples(takes, tokenizer, folder / f"{name}.parquet", augmented=True)
    decoded = tokenizer.decode_many(tokenizer.encode_many([take.motion for take in asked]))
    errors_mm = [mpjpe_mm(motion, take.motion.cut(0, len(motion))) for motion, take in zip(decoded, asked, strict=True)]
    limit_mm = files.read_json(trained.folder.with_name(RESULT))["held_out"]["error_limit_mm"]
    console.print(f"{len(old)} clips of the first half, {len(fit) - len(old)} of the second; {sorted(first_labels)}")
    for name, inside in (("first", True), ("second", False)):
        of_half = [e for e, take in zip(errors_mm, asked, strict=True) if (take.label in first_labels) == inside]
        console.print(
            f"codes of the first half on the {name}: median error {np.median(of_half):.0f} mm, "
            f"{sum(error > limit_mm for error in of_half)} of {len(of_half)} held-out clips beyond the "
            f"tokenizer's limit of {limit_mm:.0f} mm"
        )
    return trained.folder


def arms(
    folder: Path,
    tokenizer: Path,
    seed: int,
    generation: GenerationConfig,
    old: list[Take],
    new: list[Take],
    halves: list[Half],
    labels: list[str],
    console: Console,
) -> dict[str, Arm]:
    """Generation 1 and the three ways to a generation 2."""
    work = folder / f"seed-{seed}"

    def arm(name: str, examples: str, generation: GenerationConfig | None) -> Arm:
        stages, parent, replay, out = STAGES, None, None, work / name.replace(" ", "-")
        if generation:
            stages = tuple(shortened(stage, generation, len(new), len(old)) for stage in STAGES)
            parent = work / "generation-1" / STAGES[-1].name / FINAL
            replay = Replay(new=[take.key for take in new], share=generation.replay)
            out = out.with_name(f"{out.name}-{generation.replay}-{generation.learning_rate}")
        done = train_language(folder / f"{examples}.parquet", tokenizer, stages, MODEL, out, seed, parent, replay)
        model = MotionLM.load(done[-1].folder / FINAL)
        first, second = (quality(model, half, labels) for half in halves)
        made = Arm(sum(stage.cpu_s for stage in done), sum(stage.steps for stage in stages), first, second)
        console.print(f"seed {seed}, {name}: {made}", highlight=False)
        return made

    return {
        FIRST: arm(FIRST, "first", None),
        NAIVE: arm(NAIVE, "all", generation.model_copy(update={"replay": 0.0})),
        REPLAY: arm(REPLAY, "all", generation),
        SCRATCH: arm(SCRATCH, "all", None),
    }


def quality(model: MotionLM, half: Half, labels: list[str]) -> Quality:
    """Whether the text about each clip names its movement among all labels, whether the likeliest label is its own,
    and the nats per code given the text."""
    said = model.text_from_motion(half.codes)
    truth = [label_words(take.label) for take in half.takes]
    scored = model.score_labels(half.codes, labels).argmax(1).tolist()
    nats = model.nll_per_code(half.codes, [take.text for take in half.takes]).tolist()
    return Quality(
        named=float(np.mean([named_label(text, labels) == label for text, label in zip(said, truth, strict=True)])),
        scored=float(np.mean([labels[index] == label for index, label in zip(scored, truth, strict=True)])),
        nats=float(np.average(nats, weights=[len(codes) for codes in half.codes])),
    )


def show(seeds: list[dict[str, Arm]], halves: list[Half], console: Console) -> bool:
    """The table and the targets; whether all are met."""
    counts = [len(half.takes) for half in halves]
    table = Table(
        f"{len(seeds)} seeds, mean and each",
        "first half: named",
        "scored",
        "nats",
        "second: named",
        "scored",
        "nats",
        "steps",
        "CPU s",
    )
    mean: dict[str, Arm] = {}
    for name in seeds[0]:
        found = [seed[name] for seed in seeds]
        cells = []
        qualities = []
        for half in ("first", "second"):
            values = {
                field: [getattr(getattr(arm, half), field) for arm in found] for field in ("named", "scored", "nats")
            }
            qualities.append(Quality(**{field: float(np.mean(each)) for field, each in values.items()}))
            cells += [f"{np.mean(each):.3f}\n{' '.join(f'{value:.2f}' for value in each)}" for each in values.values()]
        cost = float(np.mean([arm.cpu_s for arm in found]))
        mean[name] = Arm(cost, found[0].steps, *qualities)
        table.add_row(name, *cells, str(found[0].steps), f"{cost:.0f}")
    console.print(table)
    console.print(f"n = {counts[0]} and {counts[1]} held-out clips for each seed")
    return targets(mean, counts, len(seeds), console)


def targets(mean: dict[str, Arm], counts: list[int], seeds: int, console: Console) -> bool:
    """Print each target with what was reached."""
    before, naive, replay, scratch = (mean[name] for name in (FIRST, NAIVE, REPLAY, SCRATCH))
    checks = [
        ("replay keeps the naming of the first half", replay.first.named / before.first.named, KEPT),
        ("replay keeps the likelihood of the first half", before.first.nats / replay.first.nats, KEPT),
        ("naming of the second half, of from scratch", replay.second.named / scratch.second.named, OF_SCRATCH),
        ("likelihood of the second half, of from scratch", scratch.second.nats / replay.second.nats, OF_SCRATCH),
    ]
    met = []
    for what, reached, least in checks:
        met.append(reached >= least)
        console.print(f"{what}: {reached:.1%} (target: at least {least:.0%})", highlight=False)
    cost = replay.cpu_s / scratch.cpu_s
    met.append(cost <= MOST_COST)
    console.print(f"cost of replay, of from scratch: {cost:.1%} (target: at most {MOST_COST:.0%})", highlight=False)
    kept_naming, kept_nats = naive.first.named / before.first.named, before.first.nats / naive.first.nats
    met.append(kept_naming < KEPT and kept_nats < KEPT)
    console.print(f"naive keeps {kept_naming:.1%} of the naming and {kept_nats:.1%} of the likelihood", highlight=False)
    low, high = share(round(replay.first.named * counts[0] * seeds), counts[0] * seeds).interval or (0.0, 1.0)
    console.print(f"95 % interval of replay's naming of the first half: {low:.2f} to {high:.2f}", highlight=False)
    return all(met)


if __name__ == "__main__":
    sys.exit(main())
