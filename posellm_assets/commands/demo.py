"""The demo: footage that the project renders, through the whole graph, to a released model and a table of figures."""

import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from posellm_assets.commands.generate import Request, generate_motions
from posellm_assets.commands.status import overview
from posellm_assets.commands.updating import Bar, bring_up_to_date_here
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
    bring_up_to_date_here(lake, settings, console, before=lambda bar: _render(lake, settings, bar))
    _print_figures(lake, settings, console)
    took = Text(f"{time.monotonic() - started:.0f} s", "bold")
    console.print(took, "in all. `make ui` shows everything that was made.")


def _render(lake: Lake, settings: Settings, bar: Bar) -> None:
    started = time.monotonic()
    wanted = len(plan(settings.seed))
    clips = 0
    for path in render_footage(drop_zone(lake), LocalPool(), settings.seed):
        clips += 1
        bar.move(f"render footage: {path.name}", clips, wanted)
    if clips:
        bar.line("render footage", f"{clips} clips", time.monotonic() - started)


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
