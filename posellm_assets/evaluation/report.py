"""The report as one HTML file: figures, curves, tables, and motions that play."""

from collections.abc import Mapping, Sequence
from typing import Any

from posellm_assets.evaluation.retention import TASKS
from posellm_assets.evaluation.summary import HEADLINES, reasons
from posellm_assets.footage.splits import SPLITS
from posellm_assets.motion.held_out import HeldOut, MotionErrors
from posellm_assets.reports.html import asset, filled
from posellm_assets.reports.metrics import Figure
from posellm_assets.reports.rendered import about_rendered
from posellm_assets.reports.tables import LAYOUTS, Column, TableLayout, bounds, format_figure, model_figures, sample
from posellm_assets.training.curves import Curve, smoothed

CHART = (280, 130)  # width and height of a loss curve, in the units of its drawing

# The columns of the table by label.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("naming_accuracy", "named by the text"),
    ("scoring_accuracy", "likeliest label"),
    ("naming_nearest_neighbour", "nearest training clip"),
    ("recognised_sentences", "asked in sentences, recognised"),
    ("recognised_labels", "asked by the bare label, recognised"),
    ("recognised_nearest", "retrieval, recognised"),
    ("recognised_reconstructed", "tokenizer, recognised"),
    ("recognised_real", "real, recognised"),
    ("nll_per_code", "nats per code"),
)
# The columns of the tokenizer's table, as they are called in its report.
TOKENIZER: tuple[tuple[str, str], ...] = (
    ("clips", "clips"),
    ("mpjpe_mm", "MPJPE, root-aligned (mm)"),
    ("aligned_mpjpe_mm", "headings aligned too (mm)"),
    ("baseline_mean_pose_mm", "the same of the clip's mean pose (mm)"),
    ("global_mpjpe_mm", "MPJPE, global (mm)"),
    ("acceleration_error_m_per_s2", "acceleration error (m/s²)"),
    ("foot_skate_m_per_s", "foot skate (m/s)"),
    ("foot_skate_original_m_per_s", "foot skate of the original (m/s)"),
)
SHARES = frozenset(name for name, _, is_share, _ in HEADLINES if is_share) | {
    other for _, _, is_share, beside in HEADLINES if is_share for other, _ in beside
}


def render(
    metrics: Mapping[str, Any],
    champion: Mapping[str, Figure] | None,
    losses: Mapping[str, tuple[Curve, Curve]],
    rows: Sequence[Mapping[str, Any]],
) -> str:
    """The page.

    Args:
        metrics: the contents of metrics.json, without or with `seconds`.
        champion: the figures of the released model, or None.
        losses: the loss curve of each stage, in the order of training, and that on held-out clips.
        rows: what `showcase` gave.
    """
    motions = [panel["motion"] for row in rows for panel in row["panels"]]
    return filled(
        __package__,
        "report.html",
        metrics=metrics,
        rendered=about_rendered(metrics["test_clips_rendered"], metrics["test_clips"]),
        headlines=[
            _headline(metrics["figures"], *headline) for headline in HEADLINES if headline[0] in metrics["figures"]
        ],
        absent=reasons(metrics["absent"]),
        tables=[table for layout in LAYOUTS if (table := _table(layout, metrics))],
        columns=COLUMNS,
        by_label=metrics["by_label"],
        cell=_cell,
        curves=[_chart(stage, *of_stage) for stage, of_stage in losses.items()],
        chart=CHART,
        rows=rows,
        motions=motions,
        comparison=_comparison(metrics["figures"], champion) if champion else [],
        compared=[_compared(comparison) for comparison in metrics["decision"]["comparisons"]],
        generations=list(metrics["retention"][0]["cells"]) if metrics["retention"] else [],
        retention=[_retained(row) for row in metrics["retention"]],
        tokenizer=_tokenizer(metrics["provenance"]["tokenizer"]),
        provenance=_provenance(metrics["provenance"]),
        splits=_splits(metrics["provenance"].get("snapshot")),
        player=asset(__package__, "player.js"),
    )


def _headline(
    figures: Mapping[str, Any], name: str, title: str, is_share: bool, beside: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """A figure with the others it is read beside, as bars on one scale."""
    bars = [("this model", figures[name])] + [(words, figures[other]) for other, words in beside if other in figures]
    scale = 1.0 if is_share else max(abs(figure["value"]) for _, figure in bars) or 1.0
    return {
        "title": title,
        "value": format_figure(figures[name]["value"], is_share),
        "interval": bounds(figures[name], is_share),
        "sample": sample(figures[name]),
        "bars": [
            {
                "words": words,
                "value": format_figure(figure["value"], is_share),
                "interval": bounds(figure, is_share),
                "sample": sample(figure),
                "width": round(100 * min(1.0, max(0.0, figure["value"] / scale)), 1),
            }
            for words, figure in bars
        ],
    }


def _cell(figures: Mapping[str, Any], name: str) -> str:
    return _with_sample(figures[name], name in SHARES) if name in figures else "–"


def _with_sample(figure: Mapping[str, Any], is_share: bool) -> str:
    return f"{format_figure(figure['value'], is_share)} ({sample(figure)})"


def _table(layout: TableLayout, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """A table over all clips and one for each sport, without the columns and rows in which nothing was measured."""
    groups = [("all", metrics["figures"]), *metrics["by_sport"].items()]
    parts = [(name, figures) for name, figures in groups if layout.present(figures)]
    if not parts or parts[0][0] != "all":
        return None
    return {
        "title": layout.title,
        "notes": layout.notes,
        "overall": _filled(layout, parts[0][1]),
        "by_sport": [(sport, _filled(layout, figures)) for sport, figures in parts[1:]],
    }


def _filled(layout: TableLayout, figures: Mapping[str, Any]) -> dict[str, Any]:
    columns = [c for c in layout.columns if any(layout.figure(figures, row, c) for row, _ in layout.rows)]
    rows = []
    for row, title in layout.rows:
        found = [(layout.figure(figures, row, column), column) for column in columns]
        if any(figure for figure, _ in found):
            rows.append({"title": title, "own": row == layout.rows[0][0], "cells": [_written(*pair) for pair in found]})
    return {"columns": columns, "rows": rows}


def _written(figure: Mapping[str, Any] | None, column: Column) -> dict[str, str] | None:
    if figure is None:
        return None
    return {
        "value": format_figure(figure["value"], column.is_share),
        "interval": bounds(figure, column.is_share),
        "n": sample(figure),
    }


def _chart(stage: str, training: Curve, held_out: Curve) -> dict[str, Any]:
    """Both losses of a stage on one scale, as points of a drawing."""
    width, height = CHART
    points = smoothed(training)
    top = max((loss for _, loss in [*points, *held_out]), default=0.0) or 1.0
    last_step = max((step for step, _ in [*points, *held_out]), default=1)

    def drawn(curve: Curve) -> list[tuple[str, str]]:
        return [(f"{step / last_step * width:.1f}", f"{height - loss / top * height:.1f}") for step, loss in curve]

    lowest = min(held_out, key=lambda point: point[1], default=None)
    return {
        "stage": stage,
        "line": " ".join(",".join(point) for point in drawn(points)),
        "held_out_line": " ".join(",".join(point) for point in drawn(held_out)),
        "held_out": drawn(held_out),
        "top": f"{top:.2f}",
        "steps": last_step,
        "first": f"{points[0][1]:.2f}" if points else "–",
        "last": f"{points[-1][1]:.2f}" if points else "–",
        "held_out_last": f"{held_out[-1][1]:.2f}" if held_out else None,
        "lowest": {"loss": f"{lowest[1]:.2f}", "step": lowest[0]} if lowest and lowest != held_out[-1] else None,
    }


def _comparison(figures: Mapping[str, Any], champion: Mapping[str, Figure]) -> list[dict[str, str]]:
    """Every figure of the models themselves that both have."""
    return [
        {
            "name": name,
            "better": column.better,
            "new": _with_sample(figures[name], column.is_share),
            "old": _with_sample(champion[name].model_dump(), column.is_share),
        }
        for name, column in model_figures().items()
        if name in figures and name in champion
    ]


def _tokenizer(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the tokenizer keeps of clips that it was not trained on: over all, by sport, and by skeleton if several."""
    held_out = HeldOut.model_validate(report["held_out"]) if report else None
    if held_out is None or not held_out.clips:
        return None
    groups: dict[str, MotionErrors] = {"all": held_out} | held_out.by_sport
    if len(held_out.by_skeleton) > 1:
        groups |= held_out.by_skeleton
    rows = [
        (name, ["–" if (error := getattr(errors, key)) is None else error for key, _ in TOKENIZER])
        for name, errors in groups.items()
    ]
    return {
        "headings": [heading for _, heading in TOKENIZER],
        "rows": rows,
        "codes": f"{held_out.codes_used} of {held_out.codebook_size}",
        "perplexity": held_out.perplexity,
    }


def _compared(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison of the gate, as it is written."""
    is_share, interval = comparison["figure"] in SHARES, comparison["interval"]
    return {
        **comparison,
        "new": format_figure(comparison["new"], is_share),
        "old": format_figure(comparison["old"], is_share),
        "gain": f"{comparison['gain']:+.3f}",
        "interval": f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "",
    }


def _retained(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the retention matrix, as it is written."""
    title, is_share = next((title, is_share) for name, title, is_share in TASKS if name == row["figure"])
    column = Column(row["figure"], title, "higher" if is_share else "lower", is_share)
    return {"sport": row["sport"], "task": title, "cells": [_written(cell, column) for cell in row["cells"].values()]}


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of all that made the figures, nested names joined by dots; what has its own table is left out."""
    flat: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                add(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, list) and len(value) > 20:
            flat.append((name, f"{len(value)} entries, see metrics.json"))
        else:
            flat.append((name, str(value)))

    snapshot = provenance.get("snapshot") or {}
    add("", {key: value for key, value in provenance.items() if key not in ("snapshot", "tokenizer")})
    add("tokenizer", {key: value for key, value in (provenance["tokenizer"] or {}).items() if key != "held_out"})
    add("snapshot", {key: value for key, value in snapshot.items() if key not in ("videos", "settings")})
    add("training settings", snapshot.get("settings") or {})
    return flat


def _splits(snapshot: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Videos and participants per split of the snapshot."""
    table = []
    for split in SPLITS if snapshot else ():
        videos = [video for video in (snapshot or {})["videos"] if video["split"] == split]
        table.append(
            {
                "split": split,
                "videos": len(videos),
                "participants": sorted({video["participant"] for video in videos if video["participant"]}),
                "unnamed": sum(video["participant"] is None for video in videos),
                "sports": sorted({video["sport"] for video in videos}),
            }
        )
    return table
