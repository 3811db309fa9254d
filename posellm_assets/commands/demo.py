"""The demo: footage that the project renders, through the whole graph, to a released model and a table of figures."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from posellm_assets.commands.console import PlainConsole
from posellm_assets.commands.generate import Request, generate_motions
from posellm_assets.commands.status import overview
from posellm_assets.definitions import build_defs
from posellm_assets.defs.catch_up import News, bring_up_to_date, home_instance
from posellm_assets.demo.footage import plan, render_footage
from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.files import read_json
from posellm_assets.footage.scan import drop_zone
from posellm_assets.footage.splits import SPLITS
from posellm_assets.generations.releases import in_use
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import PAGE, RESULT, Lake
from posellm_assets.motion.held_out import HeldOut
from posellm_assets.pool import LocalPool
from posellm_assets.poses.quality import Quality
from posellm_assets.reports.plain import visible
from posellm_assets.reports.rendered import about_rendered
from posellm_assets.settings import Settings, load_settings

PROMPT = "a person does a squat"
FIGURES = (
    ("motion named in text", "naming_accuracy", "naming_chance", "chance"),
    ("asked in new sentences, recognised", "recognised_sentences", "recognised_nearest", "retrieval"),
    ("asked by bare labels, recognised", "recognised_labels", "recognised_chance", "chance"),
    ("real motion through the codes", "recognised_reconstructed", "recognised_chance", "chance"),
    ("nats per code", "nll_per_code", "nll_per_code_bigram", "bigram"),
)
"""Rows of the table: title, figure, what it stands beside, and what that is called."""


def run_demo(lake: Lake, console: Console) -> None:
    """Render, ingest, train, evaluate, release; then print what came of it. What is done already is not done again.

    Raises RunFailed where training fails, ValueError where settings do not fit.
    """
    started = time.monotonic()
    settings = load_settings(lake)
    if "DAGSTER_HOME" not in os.environ:
        raise ValueError("DAGSTER_HOME is not set, so nothing would be kept; run `make demo`, which sets it")
    log = Path(os.environ["DAGSTER_HOME"]) / "demo.log"
    with home_instance() as instance, _output_to(log, console) as quiet, _progress(quiet) as progress:
        task = progress.add_task("starting", total=None)
        _render(lake, settings, progress, task)
        reason = bring_up_to_date(build_defs(), lake, settings, instance, lambda news: _show(news, progress, task))
    console.print(f"Nothing left to do: {reason}. What the programs printed is in {log}.", soft_wrap=True)
    _print_figures(lake, settings, console)
    took = Text(f"{time.monotonic() - started:.0f} s", "bold")
    console.print(took, "in all. `make ui` shows everything that was made.")


def _render(lake: Lake, settings: Settings, progress: Progress, task: TaskID) -> None:
    started = time.monotonic()
    wanted = len(plan(settings.seed))
    clips = 0
    for path in render_footage(drop_zone(lake), LocalPool(), settings.seed):
        clips += 1
        progress.update(task, description=f"render footage: {path.name}", completed=clips, total=wanted)
    if clips:
        progress.console.print(
            f"{'render footage':<18} {clips} clips", Text(f"{time.monotonic() - started:.0f} s", "dim")
        )


def _show(news: News, progress: Progress, task: TaskID) -> None:
    """A finished job becomes a line of its own; everything before moves the bar."""
    if news.seconds is not None:
        progress.console.print(f"{news.job:<18} {news.message}", Text(f"{news.seconds:.0f} s", "dim"))
        return
    counted = re.match(r"(\w+) (\d+)/(\d+): (.*)", news.message)
    if counted:
        asset, done, total, key = counted.groups()
        progress.update(task, description=f"{news.job}: {asset} {key}", completed=int(done), total=int(total))
    else:
        progress.update(task, description=visible(f"{news.job}: {news.message}"), completed=0, total=None)


def _progress(console: Console) -> Progress:
    return Progress(
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )


@contextmanager
def _output_to(log: Path, console: Console) -> Iterator[Console]:
    """Send what this process and its children print to `log`; yields a console on the terminal that they had.

    MediaPipe, Unsloth and Dagster write to the file descriptors, so nothing less keeps the progress readable.
    """
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("ab") as stream, os.fdopen(os.dup(1), "w") as terminal:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
        try:
            yield PlainConsole(file=terminal, width=console.width, force_terminal=console.is_terminal)
        finally:
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _print_figures(lake: Lake, settings: Settings, console: Console) -> None:
    champion = in_use(lake, "language")
    if champion is None:
        console.print("No model has been released yet.")
        return
    measured = MeasuredFigures.read(lake.report(champion.name))
    table = Table("figure", "value", title=f"{champion.name}, the released model", title_justify="left")
    for name, value in _rows(lake, settings, champion.name, champion.lineage, measured):
        table.add_row(name, value)
    console.print(table)
    rendered = [video.rendered for video in read_snapshot(lake, champion.name).videos if video.split == "test"]
    console.print(about_rendered(sum(rendered), len(rendered)), soft_wrap=True)
    out = lake.report(champion.name) / "generated.mp4"
    (made,) = generate_motions(lake, settings, Request(PROMPT, seed=settings.seed), out).made
    report = out.with_name(PAGE).absolute()
    console.print(f"generated {made.told(repr(PROMPT))}: {out}", soft_wrap=True)
    console.print(f"report: {report}", soft_wrap=True)


def _rows(
    lake: Lake, settings: Settings, snapshot_key: str, lineage: str, measured: MeasuredFigures
) -> list[tuple[str, str]]:
    snapshot = read_snapshot(lake, snapshot_key)
    qualities = [Quality.model_validate(read_json(lake.pose_quality(video.key))) for video in snapshot.videos]
    frames, seen = sum(q.frames for q in qualities), sum(q.seen_frames for q in qualities)
    rows = [
        ("clips", " ".join(f"{split} {len(snapshot.keys(split))}" for split in SPLITS)),
        ("frames", f"{frames}, the athlete found in {seen / frames:.1%}"),
        ("failed", str(len(overview(lake)["not_used"]))),
        ("tokenizer error", _tokenizer_row(HeldOut.of(lake, lineage))),
    ]
    for stage in settings.language.stages:
        result = read_json(lake.stage(snapshot_key, stage.name) / RESULT)
        held_out = ", ".join(f"{task} {figure['loss']:.2f}" for task, figure in result["val"].items())
        rows.append((f"{stage.name} loss", f"{result['final_loss']:.2f} (held out: {held_out})"))
    return rows + [(title, _figure_row(measured, *names)) for title, *names in FIGURES]


def _tokenizer_row(held_out: HeldOut) -> str:
    mean_pose_mm = held_out.baseline_mean_pose_mm
    error = f"{held_out.aligned_mpjpe_mm:.0f} mm with headings aligned on {held_out.clips} held-out clips"
    return f"{error} (their mean pose {mean_pose_mm:.0f} mm)"


def _figure_row(measured: MeasuredFigures, name: str, baseline: str, what: str) -> str:
    figure, beside = measured.figures.get(name), measured.figures.get(baseline)
    if figure is None:
        return f"not measured: {measured.absent[name]}"
    between = f", {figure.interval[0]:.2f} to {figure.interval[1]:.2f}" if figure.interval else ""
    compared = f", {what} {beside.value:.2f}" if beside else ""
    return f"{figure.value:.2f} (n={figure.n}{between}{compared})"
