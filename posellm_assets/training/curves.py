"""A training in curves: what `losses.jsonl` says of every step. Torch-free: the code server imports it."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
"""A line of `losses.jsonl`: numbers by name, among them `step` and `loss`."""
Curve = list[tuple[int, float]]
"""(step, loss) in the order of training."""

_TITLES = {"lr": "learning rate", "grad_norm": "gradient norm", "memory_mb": "peak memory (MB)"}
_NO_PANEL = {"step", "left_s", "val_loss"}  # held-out losses are dots in the panel of the loss


def entries_of(losses: Path) -> list[Entry]:
    """What is logged of each step; nothing of a line that is being written, nor of a training that logged none yet.

    Raises ValueError naming the line that is no loss.
    """
    lines = losses.read_text().splitlines(keepends=True) if losses.exists() else []
    entries: list[Entry] = []
    for number, line in enumerate((line for line in lines if line.endswith("\n")), start=1):
        try:
            entry = json.loads(line)
            entries.append({**entry, "step": int(entry["step"]), "loss": float(entry["loss"])})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{losses}, line {number} is not a loss ({error!r}): {line[:80]}") from error
    return entries


def loss_curves(losses: Path) -> tuple[Curve, Curve]:
    """The loss of every step, and that on held-out data after the steps at which it was measured.

    Raises FileNotFoundError where there is no step, ValueError as `entries_of`.
    """
    entries = entries_of(losses)
    if not entries:
        raise FileNotFoundError(f"{losses} has no step: train that stage first")
    steps, losses_of = _points(entries, "loss")
    return list(zip(steps, losses_of, strict=True)), list(zip(*_points(entries, "val_loss"), strict=True))


def smoothed(curve: Curve, points: int = 200) -> Curve:
    """The curve as means over at most `points` equal stretches, so that a long training stays a short drawing."""
    size = max(1, -(-len(curve) // points))
    stretches = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in stretches]


def panels_of(entries: Sequence[Entry]) -> list[str]:
    """The columns that get a panel, in the order in which they first come."""
    columns = dict.fromkeys(name for entry in entries for name in entry)
    return [name for name in columns if name not in _NO_PANEL]


def training_png(entries: Sequence[Entry]) -> bytes:
    """A PNG with a panel for each column of at least one entry over the steps; held-out losses are dots in the loss."""
    # Imported here, because the code server should start without matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = panels_of(entries)
    figure = Figure(figsize=(2.2 * len(panels), 2.2), dpi=100, layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot(*_points(entries, name), linewidth=1)
        if name == "loss":
            axes.plot(*_points(entries, "val_loss"), "o", markersize=3)
        axes.set_title(_TITLES.get(name) or name.replace("_per_s", "/s").replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    return drawn.getvalue()


def _points(entries: Sequence[Entry], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of the entries that have the column."""
    have = [entry for entry in entries if name in entry]
    return [entry["step"] for entry in have], [entry[name] for entry in have]
