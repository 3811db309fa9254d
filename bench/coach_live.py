"""How fast `posellm coach` is, and how late its messages are. `python bench/coach_live.py`

A minute of a rendered athlete's squats with all their faults, and with real clips at hand (`POSELLM_TEST_DATA`, or
`../shared/data` beside the repository) a minute of 1280 x 720. Each is coached with its annotated video written, once
by the rules, and once by a stand-in for a trained coach, which hears the live motion and speaks after every window;
what the real one costs beside is in `bench/streaming.py`. The baseline of the ratio is the bare pose network over the
same frames in the same process. Two claims: a minute takes under 45 CPU seconds, of all threads together, so that it
takes less than that by the clock of an idle machine, and 95 % of messages come within 1.5 s after their movement. The
clock and the latencies count what else the machine does.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from posellm_assets.coaching.live.annotating import annotated
from posellm_assets.coaching.live.rules import LiveRules
from posellm_assets.coaching.live.session import LiveSession
from posellm_assets.coaching.streaming.scores import Message
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.demo.footage import plan, render_clip, with_faults
from posellm_assets.footage.live import Playback
from posellm_assets.footage.video import frames, probe
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.motion.config import MotionConfig, TokenizerConfig
from posellm_assets.motion.live import LiveTokens, LiveWindow
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.live import sights

MINUTE_S = 60.0
MOST_S = 45.0
LATEST_S = 1.5
REAL = "videos/fitness/squat/tomnotchymk__squats.mp4"


class Talkative:
    """Says something after every window."""

    def begin(self) -> None:
        """Nothing to forget."""

    def hear(self, window: LiveWindow) -> Message | None:
        """A message at once."""
        return Message(window.end_s, "Go on.")


def repeated(video: Path) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of a video over and over for a minute."""
    info, start_s = probe(video), 0.0
    while start_s < MINUTE_S:
        for frame in frames(video):
            if start_s + frame.time_s < MINUTE_S:
                yield start_s + frame.time_s, frame.rgb
        start_s += info.duration_s


def rendered(folder: Path) -> Path:
    squat = next(clip for clip in plan() if clip.label == "squat")
    repetitions = [
        DemoRepetition(),
        DemoRepetition("shallow"),
        DemoRepetition(),
        DemoRepetition("knee valgus", "left"),
        DemoRepetition(),
        DemoRepetition("asymmetric arms", "right"),
        DemoRepetition("too fast"),
    ]
    return render_clip(with_faults(squat, repetitions), folder)


def tokenizer() -> MotionTokenizer:
    torch.manual_seed(0)
    return MotionTokenizer(Network(BODY, TokenizerConfig()).eval(), TokenizerConfig(), BODY, MotionConfig().fps, (), 0)


def bare(video: Path) -> float:
    """CPU seconds of decoding and the pose network alone."""
    started_s = time.process_time()
    for _ in sights(Playback(video).frames(), PoseConfig()):
        pass
    return time.process_time() - started_s


def coached(video: Path, out: Path, trained: bool) -> tuple[float, float, list[float]]:
    """(seconds by the clock, CPU seconds, latencies in s) of a session with its annotated video."""
    config = MotionConfig()
    beside = (Talkative(), LiveTokens(tokenizer(), config)) if trained else None
    clock_s, cpu_s = time.monotonic(), time.process_time()
    session = LiveSession(Playback(video), PoseConfig(), LiveRules("squat", None, config), beside)
    write_timed_video(out, annotated(session.moments()), 30)
    late_s = [late for remark in session.remarks if (late := remark.latency_s) is not None]
    return time.monotonic() - clock_s, time.process_time() - cpu_s, late_s


def main() -> None:
    torch.set_num_threads(1)
    table = Table(title="a minute of video, coached and annotated")
    for column in ("video", "speaks", "by the clock", "CPU", "of the bare pose network's", "latency median, p95 (n)"):
        table.add_column(column)
    missed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"rendered, 352 x 352": rendered(folder)}
        real = Path(os.environ.get("POSELLM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / REAL
        if real.exists():
            sources["real, 1280 x 720"] = real
        else:
            print(f"skipped: no real clip at {real}")
        for title, source in sources.items():
            video = folder / "minute.mp4"
            write_timed_video(video, repeated(source), 30)
            alone_s = bare(video)
            for trained in (False, True):
                clock_s, cpu_s, late_s = coached(video, folder / "annotated.mp4", trained)
                late = f"{np.median(late_s):.2f}, {np.percentile(late_s, 95):.2f} s ({len(late_s)})" if late_s else "-"
                table.add_row(
                    title,
                    "a stand-in" if trained else "the rules",
                    f"{clock_s:.1f} s",
                    f"{cpu_s:.1f} s",
                    f"{cpu_s / alone_s:.2f}",
                    late,
                )
                missed += [f"{title}: {cpu_s:.1f} CPU seconds"] if cpu_s >= MOST_S else []
                if late_s and np.percentile(late_s, 95) > LATEST_S:
                    missed.append(f"{title}: messages {np.percentile(late_s, 95):.2f} s late")
    Console(width=150).print(table)
    for line in missed:
        print(f"missed: {line}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
