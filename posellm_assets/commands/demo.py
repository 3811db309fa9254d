"""The demo: footage that the project renders, through the whole graph, to a released model and a table of figures."""

import time
from typing import Any

import dagster as dg
from rich.console import Console
from rich.status import Status
from rich.table import Table

from posellm_assets.commands.generate import generate_motion
from posellm_assets.commands.status import overview
from posellm_assets.defs.local import Progress, bring_up_to_date
from posellm_assets.demo.footage import render_footage
from posellm_assets.evaluation.champion import read_champion
from posellm_assets.footage.scan import drop_zone
from posellm_assets.lake import Lake, local_path, read_json
from posellm_assets.language.snapshots import read_snapshot
from posellm_assets.pool import LocalPool
from posellm_assets.poses.quality import Quality
from posellm_assets.settings import Settings, load_settings

PROMPT = "a person does a squat"
FIGURES = (
    ("motion named in text", "naming_accuracy", "naming_chance", "chance"),
    ("generated motion recognised", "recognised_generated", "recognised_chance", "chance"),
    ("nats per code", "nll_per_code", "nll_per_code_bigram", "bigram"),
)
"""Rows of the table: title, figure, its baseline, and what the baseline is called."""


def run_demo(lake: Lake, console: Console) -> None:
    """Render, take in, train, evaluate, release; then print what came of it. What is done already is not done again.

    Raises RunFailed where training fails, ValueError where settings do not fit.
    """
    started = time.monotonic()
    settings = load_settings(lake)
    with dg.DagsterInstance.get() as instance, console.status("starting") as spinner:
        _render(lake, settings, console, spinner)
        reason = bring_up_to_date(lake, settings, instance, lambda progress: _say(progress, console, spinner))
    console.print(f"Nothing left to do: {reason}.")
    _print_figures(lake, settings, console)
    console.print(f"[bold]{time.monotonic() - started:.0f} s[/] in all. `make ui` shows everything that was made.")


def _render(lake: Lake, settings: Settings, console: Console, spinner: Status) -> None:
    started = time.monotonic()
    clips = 0
    for path in render_footage(local_path(drop_zone(lake)), LocalPool(), settings.seed):
        clips += 1
        spinner.update(f"rendering footage: {clips} clips, {path.name}")
    if clips:
        console.print(f"{'render footage':<18} {clips} clips [dim]{time.monotonic() - started:.0f} s[/]")


def _say(progress: Progress, console: Console, spinner: Status) -> None:
    if progress.seconds is None:
        spinner.update(f"{progress.job}: {progress.message}")
    else:
        console.print(f"{progress.job:<18} {progress.message} [dim]{progress.seconds:.0f} s[/]", highlight=False)


def _print_figures(lake: Lake, settings: Settings, console: Console) -> None:
    champion = read_champion(lake)
    if champion is None:
        console.print("No model has been released yet.")
        return
    metrics = read_json(lake.report(champion.snapshot) / "metrics.json")
    table = Table("figure", "value", title=f"{champion.snapshot}, the released model", title_justify="left")
    for name, value in _rows(lake, settings, champion.snapshot, champion.lineage, metrics):
        table.add_row(name, value)
    console.print(table)
    out = local_path(lake.report(champion.snapshot)) / "generated.mp4"
    motion = generate_motion(lake, settings, PROMPT, out, settings.seed)
    report = out.with_name("index.html").absolute()
    console.print(
        f"generated {motion.duration_s:.1f} s of motion for {PROMPT!r}: {out}", highlight=False, soft_wrap=True
    )
    console.print(f"report: {report}", highlight=False, soft_wrap=True)


def _rows(
    lake: Lake, settings: Settings, snapshot_key: str, lineage: str, metrics: dict[str, Any]
) -> list[tuple[str, str]]:
    snapshot = read_snapshot(lake, snapshot_key)
    qualities = [Quality.model_validate(read_json(lake.pose_quality(video.key))) for video in snapshot.videos]
    frames, seen = sum(q.frames for q in qualities), sum(q.seen_frames for q in qualities)
    rows = [
        ("clips", " ".join(f"{split} {len(snapshot.keys(split))}" for split in ("train", "val", "test"))),
        ("frames", f"{frames}, the athlete found in {seen / frames:.1%}"),
        ("left behind", str(len(overview(lake)["not_used"]))),
        ("tokenizer error", _tokenizer_row(read_json(lake.tokenizer(lineage) / "report.json")["held_out"])),
    ]
    for stage in settings.language.stages:
        result = read_json(lake.stage(snapshot_key, stage.name) / "result.json")
        held_out = ", ".join(f"{task} {figure['loss']:.2f}" for task, figure in result["val"].items())
        rows.append((f"{stage.name} loss", f"{result['final_loss']:.2f} (held out: {held_out})"))
    return rows + [(title, _figure_row(metrics, *names)) for title, *names in FIGURES]


def _tokenizer_row(held_out: dict[str, Any]) -> str:
    mean_pose = held_out["baseline_mean_pose_mm"]
    return f"{held_out['mpjpe_mm']:.0f} mm on {held_out['clips']} held-out clips (mean pose {mean_pose:.0f} mm)"


def _figure_row(metrics: dict[str, Any], name: str, baseline: str, what: str) -> str:
    figure = metrics["figures"].get(name)
    if figure is None:
        return f"not measured: {metrics['absent'][name]}"
    beside = metrics["figures"].get(baseline)
    return (
        f"{figure['value']:.2f} (n={figure['n']}, {what} {beside['value']:.2f})" if beside else f"{figure['value']:.2f}"
    )
