"""The report on a recogniser as one HTML file, in the manner of the evaluation report."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from posellm_assets.actions.members.members import ActionClip
from posellm_assets.reports.html import filled
from posellm_assets.reports.rendered import about_rendered
from posellm_assets.reports.tables import bounds, format_figure
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.frames import read_frames

PLOT = 200  # side of a plot, in the units of its drawing
_FRAMES = FramesConfig(count=6, size_px=160)


def render(metrics: Mapping[str, Any], mistakes: Mapping[str, ActionClip]) -> str:
    """The page of `metrics` (those of `evaluate`), with the frames of each mistake."""
    members = metrics["members"]
    return filled(
        __package__,
        "report.html",
        metrics=metrics,
        rendered=about_rendered(metrics["rendered"], metrics["clips"]),
        members=[_row(name, figures) for name, figures in members.items()],
        bars=[(words, _percent(value), round(100 * value, 1)) for words, value in _bars(metrics)],
        plots=[_plots(name, figures) for name, figures in members.items()],
        limits=_limits(metrics["none_of_these"]),
        confusions=[(name, _confusion(figures["confusion"])) for name, figures in members.items()],
        by_class=members["ensemble"]["by_class"],
        share=lambda value: "–" if value is None else format_figure(value, True),
        strips={name: strip(case) for name, case in mistakes.items()},
        side=PLOT,
    )  # fmt: skip


def strip(case: ActionClip) -> str | None:
    """Six frames of a case side by side as a data URL, None where there is no picture."""
    if case.video is None:
        return None
    frames, _ = read_frames(case.video, case.start_s, case.end_s, case.hit_s, _FRAMES)
    picture = cv2.cvtColor(np.concatenate(list(frames), axis=1), cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _bars(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Accuracies on one scale: the ensemble, its members, the baselines, chance."""
    rows = [(name, figures["accuracy"]["value"]) for name, figures in metrics["members"].items()]
    rows += [(name, figure["value"]) for name, figure in metrics["baselines"].items()]
    return [*rows, ("a guess", 1 / len(metrics["classes"]))]


def _row(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    def cell(key: str, is_share: bool = True) -> tuple[str, str]:
        figure = figures.get(key)
        return (_percent(figure["value"]), bounds(figure, is_share)) if figure else ("–", "")

    seconds, weight, temperature = (figures.get(key) for key in ("seconds_per_clip", "weight", "temperature"))
    raw = figures.get("calibration_error_raw")
    return {
        "name": name,
        "n": figures["accuracy"]["n"],
        "opinions": figures["opinions"],
        "cells": [cell("accuracy"), cell("macro_f1"), cell("calibration_error")],
        "raw": _percent(raw["value"]) if raw else "–",
        "temperature": f"{temperature:.2f}" if temperature else "–",
        "weight": f"{weight:.2f}" if weight is not None else "–",
        "seconds": "–" if seconds is None else f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s",
    }


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _plots(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Points of the reliability plot (a circle's area is the share of clips) and of accuracy over coverage."""
    bins, curve = figures.get("reliability", ()), figures.get("coverage", ())
    total = sum(one["clips"] for one in bins) or 1
    dots = [
        {
            "x": round(one["confidence"] * PLOT, 1),
            "y": round((1 - one["accuracy"]) * PLOT, 1),
            "r": round(3 + 14 * (one["clips"] / total) ** 0.5, 1),
            "title": f"{one['clips']} clips: confidence {one['confidence']:.2f}, right {one['accuracy']:.2f}",
        }
        for one in bins
    ]
    line = " ".join(f"{share * PLOT:.1f},{(1 - right) * PLOT:.1f}" for share, right in curve)
    return {"name": name, "dots": dots, "line": line, "last": _percent(curve[-1][1]) if curve else "–"}


def _limits(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The shares of clips that are named, in words, and the curves of risk over coverage."""
    shares = {name: figure for name, figure in figures.items() if name.endswith(("_named", "_right"))}
    return {
        "shares": {name: _in_words(figure) if figure else None for name, figure in shares.items()},
        "areas": {by: f"{figure['value']:.3f} {bounds(figure, False)}" for by, figure in figures["area"].items()},
        "lines": {
            by: " ".join(f"{covered * PLOT:.1f},{(1 - risk) * PLOT:.1f}" for covered, risk in curve)
            for by, curve in figures["risk"].items()
        },
    }


def _in_words(figure: Mapping[str, Any]) -> str:
    return f"{_percent(figure['value'])} of {figure['n']} {bounds(figure, True)}"


def _confusion(counts: Sequence[Sequence[int]]) -> list[list[tuple[int, float]]]:
    return [[(count, count / (sum(row) or 1)) for count in row] for row in counts]
