"""The streaming coach on rendered sessions of athletes that it has never seen. `python bench/streaming.py`

Needs a lake in which `make demo` has run (POSELLM_LAKE, else data_lake), for its tokenizer. Renders sessions with
planted faults and timed feedback, estimates their poses, trains on the athletes of the training split, chooses the
threshold on those of the validation split and measures on those of the test split, all through the programs of the
graph. Estimating poses is what takes long, so that there are few such sessions; further ones of other athletes, never
for testing, have the renderer's own landmarks with errors of the size and kind that MediaPipe makes. `--simulated 0`
leaves these out. `--work FOLDER` keeps what was rendered and extracted, and goes on from it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lakes import current_tokenizer
from rich.console import Console
from rich.table import Table

from posellm_assets.coaching.streaming.coach import Coach
from posellm_assets.coaching.streaming.config import CoachJob, FeedbackItem, FeedbackJob, StreamingReportJob
from posellm_assets.coaching.streaming.dataset import write_dataset
from posellm_assets.coaching.streaming.report import COACH, evaluate
from posellm_assets.coaching.streaming.scores import match_best
from posellm_assets.coaching.streaming.sessions import RECORD, read_dataset_record, read_sessions
from posellm_assets.coaching.streaming.timing import heard
from posellm_assets.coaching.streaming.train import train
from posellm_assets.demo.footage import FPS, SIZE_PX, rendered_athlete
from posellm_assets.demo.sessions import CORRECTIONS, PRAISE, SessionPlan, plan_sessions, render_sessions, session_truth
from posellm_assets.footage.splits import split_of
from posellm_assets.lake import FINAL
from posellm_assets.pool import LocalPool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, extract_clips
from posellm_assets.poses.poses import Poses
from posellm_assets.reports.metrics import Figure, accuracy

SEED, SESSIONS = 68, 36
SIMULATED_SEED = 70
LEAST_F = 0.8


def main() -> int:
    """Measure, print; 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="that are rendered and looked at")
    parser.add_argument("--simulated", type=int, default=60, help="further training sessions, not looked at")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = current_tokenizer()
    if tokenizer is None:
        return 0
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        items = estimated(work, arguments.sessions) + simulated(work, arguments.simulated)
        name = f"{arguments.sessions}-{arguments.simulated}"
        metrics = learned(work / name, items, tokenizer, console)
        right = meant(work / name)
    show(metrics, console)
    console.print(
        f"of the messages that come in time {right.value:.3f} mean what was due: the fault and its side, or that it is "
        f"better (n={right.n}, 95 %: {_between(right.model_dump())})"
    )
    own = metrics["speakers"][COACH]
    worst = min(own["published"]["value"], own["optimal"]["value"])
    console.print(f"T-F-Score {worst:.3f} (target: at least {LEAST_F}, published and with the best matching)")
    return 0 if worst >= LEAST_F else 1


def learned(out: Path, items: Sequence[FeedbackItem], tokenizer: Path, console: Console) -> dict[str, Any]:
    """Dataset, training and report, as the graph makes them; returns the metrics of the report."""

    def say(message: str) -> None:
        console.print(message, highlight=False)

    began = time.process_time()
    dataset = out / "dataset"
    if not (dataset / RECORD).exists():
        write_dataset(FeedbackJob(items=list(items), tokenizer=tokenizer, out=dataset), say)
        console.print(f"windows: {time.process_time() - began:.0f} CPU s")
    began = time.process_time()
    train(CoachJob(dataset=dataset, out=out / "coach"), say)
    console.print(f"training and choosing the threshold: {time.process_time() - began:.0f} CPU s")
    return evaluate(StreamingReportJob(coach=out / "coach" / FINAL, dataset=dataset, out=out / "report"), say)


def estimated(work: Path, count: int) -> list[FeedbackItem]:
    """Rendered sessions with the poses that MediaPipe sees in them."""
    list(render_sessions(work / "raw", LocalPool(), SEED, count))
    sessions = plan_sessions(SEED, count)
    clips = []
    for session in sessions:
        video, poses = session.path(work / "raw"), _poses(work, session)
        if not poses.exists():
            clips.append(
                PoseItem(session.participant, video, poses, poses.with_suffix(".json"), poses.with_suffix(".jpg"))
            )
    for _, outcome in extract_clips(clips, LocalPool(), PoseConfig()):
        if isinstance(outcome, Exception):
            raise outcome
    return [_item(session, _poses(work, session), split_of(session.participant)) for session in sessions]


def simulated(work: Path, count: int) -> list[FeedbackItem]:
    """Sessions of other athletes with the renderer's landmarks and made-up errors, none of them for testing."""
    sessions = plan_sessions(SIMULATED_SEED, count) if count else []
    for number, session in enumerate(sessions):
        path = _poses(work, session)
        if not path.exists():
            seen_as_if(session, np.random.default_rng([SIMULATED_SEED, number])).write(path)
    parts = {"train": "train", "val": "val", "test": "train"}
    return [_item(session, _poses(work, session), parts[split_of(session.participant)]) for session in sessions]


def seen_as_if(session: SessionPlan, rng: np.random.Generator) -> Poses:
    """The landmarks of a session with errors as MediaPipe's: most of them in depth, most of them the same whenever the
    body is in the same pose (each coordinate leaks into the others), some drifting within a third of a second."""
    truth = session_truth(session, [rendered_athlete(part) for part in session.parts])
    world = truth["world"].astype(np.float64)
    axes = np.array([0.3, 0.35, 1.0])  # how much of the errors is across, up and in depth
    middle = world.mean(axis=0, keepdims=True)
    leak = rng.normal(0, 0.25, (33, 3, 3)) * axes[:, None]
    leak[:, 2, 2] -= 0.25  # depth comes out flat
    world = world + np.einsum("jab,tjb->tja", leak, world - middle) + rng.normal(0, 0.07, (1, 33, 3)) * axes
    knots = rng.normal(0, 0.04, (len(world) * 3 // FPS + 3, 33, 3)) * axes
    place = np.arange(len(world)) * 3 / FPS
    first, share = place.astype(int), (place % 1)[:, None, None]
    world = world + knots[first] * (1 - share) + knots[first + 1] * share + rng.normal(0, 0.012, world.shape) * axes
    image = np.concatenate([truth["image"] / SIZE_PX, np.zeros((*world.shape[:2], 1))], axis=-1)
    sure = np.ones(world.shape[:2], np.float32)[:, None]
    return Poses(
        truth["time_s"],
        image.astype(np.float32)[:, None],
        sure,
        sure,
        world.astype(np.float32)[:, None],
        SIZE_PX,
        SIZE_PX,
        float(FPS),
        "simulated",
        {},
    )


def meant(out: Path) -> Figure:
    """The share of the matched messages of the test sessions that are of the kind that was due."""
    kinds = {
        text.format(side=side): (kind, side if "{side}" in text else None)
        for kind, texts in [*CORRECTIONS.items(), ("praise", PRAISE)]
        for text in texts
        for side in ("left", "right")
    }
    coach, dataset = Coach.load(out / "coach" / FINAL), out / "dataset"
    pairs = [
        (kinds[session.references[one].text], kinds[session.said[other].text])
        for session in (heard(coach, one) for one in read_sessions(dataset, read_dataset_record(dataset), "test"))
        for one, other in match_best(session.references, session.said)
    ]
    return accuracy(*zip(*pairs, strict=True))


def show(metrics: dict[str, Any], console: Console) -> None:
    """The table: the coach and its baselines on the same sessions."""
    title = (
        f"{metrics['sessions']} sessions of {metrics['participants']} unseen athletes, {metrics['minutes']:.1f} min, "
        f"{metrics['references']} messages due"
    )
    table = Table(
        *("", "T-F published", "T-F optimal", "prec.", "recall", "a min", "false a min", "repeated"),
        *("delay s", "95 %", "ROUGE-L covered"),
        title=title,
    )
    for name, one in metrics["speakers"].items():
        way, texts = one["manners"], metrics["texts"][name]["figures"]
        table.add_row(
            name,
            *(f"{one[kind]['value']:.3f} ({_between(one[kind])})" for kind in ("published", "optimal")),
            _number(one["precision"]),
            _number(one["recall"]),
            *(_number(way[key]) for key in ("messages_per_minute", "false_alarms_per_minute", "repetition_rate")),
            *(_number(way[key]) for key in ("median_delay_s", "p95_delay_s")),
            _number(texts["rouge_l_covered"]["value"]),
        )
    console.print(table)
    late = metrics["latency"]
    console.print(
        f"a window is known {late['delay_s']} s after its end, and thought about for {late['median_ms']:.2f} CPU ms "
        f"(95 %: {late['p95_ms']:.2f} ms, n={late['windows']}); threshold {metrics['provenance']['threshold']}"
    )


def _poses(work: Path, session: SessionPlan) -> Path:
    return work / "poses" / f"{Path(session.file).stem}.parquet"


def _item(session: SessionPlan, poses: Path, split: Any) -> FeedbackItem:
    return FeedbackItem(
        key=session.participant,
        participant=session.participant,
        split=split,
        poses=poses,
        duration_s=session.frame_count / FPS,
        language="en",
        feedback=list(session.feedback),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _between(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{low:.2f}–{high:.2f}"


if __name__ == "__main__":
    sys.exit(main())
