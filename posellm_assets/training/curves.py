"""A stage's training in a picture: what `losses.jsonl` says of every step. Torch-free: the code server imports it."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PANELS = {
    "loss": "loss (nats)",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens/s",
    "labels_per_s": "label tokens/s",
    "memory_mb": "peak memory (MB)",
}


def entries_of(losses: Path) -> list[dict[str, Any]]:
    """What is logged of each step; of a line that is being written, and of a stage without a step, nothing."""
    lines = losses.read_text().splitlines(keepends=True) if losses.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def training_png(losses: Path, panels: Mapping[str, str] = PANELS) -> bytes:
    """A PNG with a panel for each of `panels` (name: title) over the steps; held-out losses are dots in the first."""
    # Imported here, because the code server should start without matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = entries_of(losses)
    steps = [entry["step"] for entry in entries]
    figure = Figure(figsize=(13.0, 2.2), dpi=100, layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.plot(steps, [entry[name] for entry in entries], linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    held_out = [(entry["step"], entry["val_loss"]) for entry in entries if "val_loss" in entry]
    figure.axes[0].plot([step for step, _ in held_out], [loss for _, loss in held_out], "o", markersize=3)
    drawn = io.BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    return drawn.getvalue()
