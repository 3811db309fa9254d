"""Pose extraction against the bare loop that a user would write. `python bench/poses.py [CLIP OR FOLDER ...]`

Prints three claims, each with its target: frames per CPU second on the longest clip (1.5 times the bare loop's), frames
per second on all clips with all cores (2.2 times), and landmarks that are the same to the bit for the same frames. CPU
seconds are those of a process in which both have done the shortest clip before; the wall clock counts everything from
the start of the processes. Ours also writes parquet, verdicts and a contact sheet. Without arguments it renders footage
of its own. For an idle machine.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.footage.video import frames, probe
from posellm_assets.pool import LocalPool, Pool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, extract_clips
from posellm_assets.poses.models import ensure_model

ROUNDS = 3
COMPARED_FRAMES = 200


def bare_loop(video: Path) -> list[list[list[float]]]:
    """What a user writes by hand: OpenCV, the published bundle, Python lists."""
    import cv2
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(ensure_model("full-with-masks").path)),
        running_mode=vision.RunningMode.VIDEO,
    )
    found: list[list[list[float]]] = []
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    with vision.PoseLandmarker.create_from_options(options) as landmarker:
        while True:
            read, bgr = capture.read()
            if not read:
                return found
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
            result = landmarker.detect_for_video(image, int(len(found) * 1000 / fps))
            found.append(as_list(result))


def bare_loops(videos: list[Path]) -> None:
    for video in videos:
        bare_loop(video)


def as_list(result) -> list[list[float]]:  # type: ignore[no-untyped-def]
    """The landmarks of the first person as rows of x, y, z, visibility, presence and world x, y, z."""
    return [
        [one.x, one.y, one.z, one.visibility, one.presence, world.x, world.y, world.z]
        for one, world in zip(
            *(people[0] if people else [] for people in (result.pose_landmarks, result.pose_world_landmarks)),
            strict=True,
        )
    ]


def ours(videos: Iterable[Path], pool: Pool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clips = [
            PoseItem(str(number), video, *(Path(folder) / f"{number}.{kind}" for kind in ("parquet", "json", "jpg")))
            for number, video in enumerate(videos)
        ]
        for _, outcome in extract_clips(clips, pool, PoseConfig()):
            if isinstance(outcome, Exception):
                raise outcome


class SameProcess:
    """A pool that works in this process, so that its CPU time is ours."""

    workers = 1

    def map(self, fn: Callable, items: Iterable) -> Iterator:
        return ((item, fn(item)) for item in items)


def cpu_seconds(videos: tuple[Path, Path]) -> tuple[float, float]:
    """CPU seconds of the bare loop and of ours over the second clip, after both have done the first."""
    first, video = videos
    bare_loop(first)
    ours([first], SameProcess())
    return (
        measured(lambda: bare_loop(video), time.process_time),
        measured(lambda: ours([video], SameProcess()), time.process_time),
    )


def compare_bits(video: Path) -> int:
    """How many of the first frames with a person differ in any bit between the published network and ours."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    from posellm_assets.poses.landmarker import VideoLandmarker

    options = vision.PoseLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(ensure_model("full-with-masks").path)),
        running_mode=vision.RunningMode.VIDEO,
    )
    differ = seen = 0
    with (
        vision.PoseLandmarker.create_from_options(options) as published,
        VideoLandmarker(ensure_model("full").path, people=1, min_confidence=0.5) as pruned,
    ):
        for frame in frames(video):
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame.rgb)
            one = np.array(as_list(published.detect_for_video(image, round(frame.time_s * 1000))), np.float32)
            other = pruned.landmarks(frame.rgb, frame.time_s)
            seen += len(other)
            differ += not np.array_equal(one, other[0] if len(other) else np.zeros(0, np.float32))
            if seen == COMPARED_FRAMES:
                break
    return differ


def measured(work, clock) -> float:  # type: ignore[no-untyped-def]
    start = clock()
    work()
    return clock() - start


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        videos = _videos(arguments) if arguments else _rendered(Path(folder))
        counts = {video: probe(video).frame_count or 0 for video in videos}
        shortest, longest = (choose(videos, key=lambda video: counts[video]) for choose in (min, max))
        # Turn and turn about, so that whatever else the machine does falls on both.
        one = [_result(cpu_seconds, (shortest, longest)) for _ in range(ROUNDS)]
        many = [
            (
                measured(lambda: _result(bare_loops, videos), time.perf_counter),
                measured(lambda: ours(videos, LocalPool()), time.perf_counter),
            )
            for _ in range(ROUNDS)
        ]
        differ = _result(compare_bits, longest)
    table = Table("claim", "bare loop", "posellm", "ratio", "target")
    met = [
        _row(table, f"frames per CPU second, one clip ({longest.name})", counts[longest], one, 1.5),
        _row(
            table,
            f"frames per second, {len(videos)} clips, {LocalPool().workers} cores",
            sum(counts.values()),
            many,
            2.2,
        ),
    ]
    table.add_row(f"frames that differ in any bit, of up to {COMPARED_FRAMES}", "", "", str(differ), "0")
    Console().print(table, f"medians of {ROUNDS} rounds, turn and turn about")
    return 0 if all(met) and differ == 0 else 1


def _result(work: Callable[[Any], Any], item: Any) -> Any:
    """The result of `work(item)` in a fresh process."""
    ((_, outcome),) = LocalPool(1).map(work, [item])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _row(table: Table, claim: str, count: int, seconds: list[tuple[float, float]], target: float) -> bool:
    bare_s, ours_s = (statistics.median(column) for column in zip(*seconds, strict=True))
    ratio = bare_s / ours_s
    table.add_row(claim, f"{count / bare_s:.1f}", f"{count / ours_s:.1f}", f"{ratio:.2f}", f"{target}")
    return ratio >= target


def _videos(arguments: list[str]) -> list[Path]:
    found = []
    for path in map(Path, arguments):
        found += sorted(path.rglob("*.mp4")) if path.is_dir() else [path]
    return found


def _rendered(folder: Path) -> list[Path]:
    seconds = [12.0, *[6.0] * 5]
    clips = plan()[:: len(plan()) // len(seconds)]
    return [render_clip(replace(clip, duration_s=length), folder) for clip, length in zip(clips, seconds, strict=False)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
