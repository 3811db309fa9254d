"""What ticks of the sensors, one more clip and one more generation cost in a lake of 10, 1,000 and 10,000 videos.

Claims: one more clip costs at most twice as much at 10,000 videos as at 10, and so does the dataset of a generation
that adds 100 videos. At 10,000 videos an idle tick of the retraining sensor takes under 1 s and freezing a snapshot
under 10 s, in CPU time. The clips are real files of 10 frames that
differ in an MP4 box that players skip; listing, registry, manifests, Dagster instance (SQLite) and partitions are real.
A clip's cost is the tick that finds, hashes, probes and registers it, and the request that adds its partition, carried
out as the daemon does. What Dagster itself does with all partitions is measured beside it: it is not ours to bound.
Captions, motion files and tokens are synthesised, of the size that clips of 3 s have.
Each figure is the median of several; the sizes take turns, so that a busy machine slows all of them alike.

    python bench/lake.py [--sizes 10 1000 10000] [--repeats 9]
"""

import argparse
import hashlib
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av
import dagster as dg
import numpy as np

from posellm_assets.defs.footage_sensor import new_footage_sensor
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.retraining_sensor import retraining_sensor
from posellm_assets.defs.unlogged import unlogged
from posellm_assets.footage.intake import WatchState
from posellm_assets.footage.manifest import FootageManifest
from posellm_assets.footage.registry import Outcome, Registry, line_of, registry_of
from posellm_assets.footage.video import probe
from posellm_assets.generations.releases import promote
from posellm_assets.generations.snapshots import build_examples, freeze
from posellm_assets.keys import video_key
from posellm_assets.lake import METRICS, Lake
from posellm_assets.motion.tokens import ORIGINAL, MotionTokens, TokenSegment, TokenVariant

NAME = videos.name or ""
AT_ONCE = {"footage": {"settle_s": 0}}
NEVER = {"automation": {"rules": {"all": {"min_new_videos": 1_000_000}}}}
LINEAGE = "vq-1"
MOTION_BYTES = 20_000
CODES = range(256)
ADDED = 100
CLAIM = 2.0
IDLE_TICK_MS, FREEZING_MS = 1_000, 10_000
FREEZING = "freezing a snapshot of all videos"
DATASET = f"dataset of a generation that adds {ADDED} videos"
IDLE_TICK = "retraining sensor: an idle tick"


@dataclass
class Cost:
    """CPU and wall time of one call, in milliseconds."""

    cpu_ms: float
    wall_ms: float


def cost_of(work: Callable[[], object]) -> Cost:
    """What `work` costs once."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return Cost((time.process_time() - cpu_s) * 1e3, (time.perf_counter() - wall_s) * 1e3)


class House:
    """A lake with `size` registered videos, and an instance that has their partitions."""

    def __init__(self, folder: Path, size: int, clip: bytes):
        self.size, self.clip, self.next_number = size, clip, 0
        self.retraining_cursor: str | None = None
        self.lake = Lake(folder / "lake")
        (folder / "dagster").mkdir(parents=True)
        self.instance = dg.DagsterInstance.local_temp(str(folder / "dagster"))
        self.forget()
        self._fill(folder / "clip.mp4")

    def drop(self) -> Path:
        """Put one more clip into the drop zone."""
        self.next_number += 1
        path = self.lake.raw / "tennis" / f"clip {self.next_number:06d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.clip + (16).to_bytes(4, "big") + b"free" + self.next_number.to_bytes(8, "big"))
        return path

    def tick(self, expected: int) -> None:
        """A tick of the sensor, and what the daemon does with the partitions that it asks for."""
        resource = LakeResource(root=str(self.lake.root), settings=AT_ONCE)
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources={"lake": resource})
        data = new_footage_sensor.evaluate_tick(context)
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        added = [key for request in data.dynamic_partitions_requests for key in request.partition_keys]
        if added:
            new = [key for key in added if not self.instance.has_dynamic_partition(NAME, key)]
            self.instance.add_dynamic_partitions(NAME, new)
        assert len(added) == len(data.run_requests) == expected, data.skip_message
        for key in added:
            write(self.lake.captions(key), "{}")  # its run is over
        self.cursor = data.cursor

    def _fill(self, sample: Path) -> None:
        """Register `size` clips as `register` would, without waiting for the disk after each."""
        sample.write_bytes(self.clip)
        self.info = probe(sample)
        keys = self.ingest(self.size)
        for start in range(0, self.size, 200):
            self.instance.add_dynamic_partitions(NAME, keys[start : start + 200])
        while late := unlogged(self.instance, self.lake, keys):  # what was made is in the log
            for event in late:
                self.instance.report_runless_asset_event(event)

    def ingest(self, count: int) -> list[str]:
        """Register `count` more clips and write down what ingesting and tokenising them leaves; returns their keys."""
        lines, keys = [], []
        for _ in range(count):
            path = self.drop()
            sha256, found = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat()
            source = path.relative_to(str(self.lake.raw)).as_posix()
            key = video_key("tennis", path.stem, sha256)
            manifest = FootageManifest(
                key=key,
                sport="tennis",
                label="left serve",
                captions=[],
                participant=f"player {self.next_number % 97}",
                source=source,
                sha256=sha256,
                size_bytes=found.st_size,
                video=self.info,
                registered_at="2026-01-01T00:00:00+00:00",
            )
            write(self.lake.footage(key), manifest.model_dump_json())
            self._write_derived(key)
            outcome = Outcome(
                path=source,
                size=found.st_size,
                mtime_ns=found.st_mtime_ns,
                status="registered",
                key=key,
                sha256=sha256,
            )
            lines.append(line_of(outcome))
            keys.append(key)
        with self.lake.registry.open("ab") as registry:
            registry.writelines(lines)
        return keys

    def _write_derived(self, key: str) -> None:
        drawn = random.Random(key)
        said = [f"left serve: the left elbow bends to {angle} degrees" for angle in range(90, 140, 10)]
        texts = [{"text": text, "kind": "label", "language": "en"} for text in said]
        write(self.lake.captions(key), json.dumps({"key": key, "texts": texts, "facts": []}))
        write(self.lake.motion(key), drawn.randbytes(MOTION_BYTES))
        names = [ORIGINAL, *(f"variant-{number}" for number in range(1, 12))]
        variants = tuple(
            TokenVariant(name=name, mirrored=number % 2 == 1, codes=tuple(drawn.choices(CODES, k=15)))
            for number, name in enumerate(names)
        )
        tokens = MotionTokens(
            key=key,
            lineage=LINEAGE,
            codebook_size=len(CODES),
            codes_per_step=1,
            fps=20.0,
            segments=(TokenSegment(start_s=0.0, end_s=3.0, variants=variants),),
            mpjpe_mm=30.0,
        )
        write(self.lake.motion_tokens(LINEAGE, key), tokens.model_dump_json())

    def forget(self) -> None:
        """Have the footage sensor remember nothing of the ticks before."""
        self.cursor = WatchState(lake=str(self.lake.root)).model_dump_json()

    def settle(self) -> None:
        """Let everything look as if it had been there for a while."""
        for folder, _, _ in os.walk(str(self.lake.root)):
            os.utime(folder, (time.time() - 60, time.time() - 60))

    def look(self, idle: bool) -> None:
        """A tick of the retraining sensor, from its cursor or, where it is not to be idle, without one."""
        resource = LakeResource(root=str(self.lake.root), settings=NEVER)
        cursor = self.retraining_cursor if idle else None
        context = dg.build_sensor_context(self.instance, cursor=cursor, resources={"lake": resource})
        data = retraining_sensor.evaluate_tick(context)
        assert data.skip_message and "new videos" in data.skip_message, data
        self.retraining_cursor = data.cursor or self.retraining_cursor

    def freeze(self) -> None:
        """Freeze everything that is there in the next snapshot."""
        self.snapshot = freeze(self.lake, self.lake.captioned_videos(), LINEAGE, parent=None, settings={})

    def unfreeze(self) -> None:
        """Take the last snapshot back."""
        shutil.rmtree(str(self.lake.snapshot(self.snapshot.snapshot).parent))


def write(path: Path, content: str | bytes) -> None:
    """Write a file without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def measure(houses: list[House], repeats: int) -> dict[str, list[Cost]]:
    """The median costs by what is measured, one for each house."""
    work: dict[str, Callable[[House], object]] = {
        "tick with nothing new": lambda house: house.tick(expected=0),
        "tick that compares lake and partitions": lambda house: house.tick(expected=0),
        "one more clip": lambda house: house.tick(expected=1),
        "the sensor's first tick in a new process: reading the registry": lambda house: Registry(
            house.lake.registry
        ).refresh(),
        "Dagster: listing all partitions (at the start of every run)": lambda house: (
            house.instance.get_dynamic_partitions(NAME)
        ),
    }
    before: dict[str, Callable[[House], object]] = {
        "tick that compares lake and partitions": House.forget,
        "one more clip": House.drop,
    }
    for house in houses:
        registry_of(house.lake)
        house.settle()
        house.tick(expected=0)
    costs: dict[str, list[Cost]] = {}
    for name, do in work.items():
        costs[name] = medians(houses, repeats, do, before.get(name, nothing))
    return costs


def measure_generations(houses: list[House], repeats: int) -> dict[str, list[Cost]]:
    """The same of what training by itself costs. The houses hold one snapshot more afterwards."""
    costs: dict[str, list[Cost]] = {}
    for house in houses:
        folder = house.lake.tokenizer(LINEAGE)
        folder.mkdir(parents=True)
        promote(
            house.lake, "tokenizer", LINEAGE, folder=folder, lineage=LINEAGE, reasons=[], by="bench", instead_of=None
        )
    costs[FREEZING] = medians(houses, repeats, House.freeze, nothing, House.unfreeze)
    for house in houses:
        house.freeze()
        build_examples(house.lake, house.snapshot)
        keys = house.ingest(ADDED)
        house.instance.add_dynamic_partitions(NAME, keys)
    costs[f"the same and {ADDED} more"] = medians(houses, repeats, House.freeze, nothing, House.unfreeze)
    for house in houses:
        house.freeze()
    costs[DATASET] = medians(
        houses,
        repeats,
        lambda house: build_examples(house.lake, house.snapshot),
        lambda house: [shutil.rmtree(str(path)) for path in house.lake.snapshot("all-0002").parent.glob("*.parquet")],
    )
    for house in houses:
        write(house.lake.report(house.snapshot.snapshot) / METRICS, "{}")  # its generation is finished
        house.settle()
    costs["retraining sensor: a tick that has to look"] = medians(houses, repeats, lambda house: house.look(idle=False))
    costs[IDLE_TICK] = medians(houses, repeats, lambda house: house.look(idle=True))
    return costs


def nothing(house: House) -> None:
    """Do nothing."""


def medians(
    houses: list[House],
    repeats: int,
    do: Callable[[House], object],
    before: Callable[[House], object] = nothing,
    after: Callable[[House], object] = nothing,
) -> list[Cost]:
    """The median cost of `do` for each house; `before` and `after` it is not counted."""
    rounds: list[list[Cost]] = []
    for _ in range(repeats):
        this_round = []
        for house in houses:
            before(house)
            this_round.append(cost_of(lambda house=house: do(house)))  # type: ignore[misc]
            after(house)
        rounds.append(this_round)
    return [
        Cost(median(cost.cpu_ms for cost in column), median(cost.wall_ms for cost in column))
        for column in zip(*rounds, strict=True)
    ]


def small_clip(path: Path) -> bytes:
    """A real MP4 of 10 frames, 64 x 48."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            picture = np.full((48, 64, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def main() -> int:
    """Print the table and the ratio; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        clip = small_clip(Path(folder) / "clip.mp4")
        houses = [House(Path(folder) / str(size), size, clip) for size in arguments.sizes]
        costs = measure(houses, arguments.repeats)
        costs |= measure_generations(houses, max(1, arguments.repeats // 3))
    print(f"median of {arguments.repeats} (of snapshots a third), CPU ms (wall ms), at this many registered videos:")
    print(f"{'':64}" + "".join(f"{size:>18,}" for size in arguments.sizes) + f"{'last : first':>16}")
    for name, row in costs.items():
        cells = "".join(f"{cost.cpu_ms:>10.1f} ({cost.wall_ms:.0f})".rjust(18) for cost in row)
        print(f"{name:64}{cells}{row[-1].cpu_ms / row[0].cpu_ms:>15.2f}x")
    sizes = f"{arguments.sizes[-1]:,} : {arguments.sizes[0]:,} videos"
    kept = []
    for name in ("one more clip", DATASET):
        ratio = costs[name][-1].cpu_ms / costs[name][0].cpu_ms
        print(f"{name}, {sizes}: {ratio:.2f}x CPU (claim: at most {CLAIM:g}x)")
        kept.append(ratio <= CLAIM)
    for name, limit_ms in ((IDLE_TICK, IDLE_TICK_MS), (FREEZING, FREEZING_MS)):
        print(
            f"{name}, {arguments.sizes[-1]:,} videos: {costs[name][-1].cpu_ms:,.0f} ms (claim: under {limit_ms:,} ms)"
        )
        kept.append(costs[name][-1].cpu_ms < limit_ms)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
