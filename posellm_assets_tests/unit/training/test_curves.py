"""What is read of `losses.jsonl`, of whatever training, while it is being written and afterwards."""

import json
from pathlib import Path

import pytest

from posellm_assets.training.curves import entries_of, loss_curves, panels_of, smoothed, training_png


def test_a_line_that_is_being_written_is_not_read_and_one_that_is_no_loss_is_named(tmp_path: Path) -> None:
    losses = tmp_path / "losses.jsonl"
    assert entries_of(losses) == [], "no step has been made yet"
    with pytest.raises(FileNotFoundError, match=r"losses\.jsonl has no step: train that stage first"):
        loss_curves(losses)
    losses.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    assert loss_curves(losses) == ([(1, 2.5)], [])
    losses.write_text('{"step": 1, "loss": 2.5}\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"losses\.jsonl, line 2 is not a loss"):
        entries_of(losses)


def test_the_panels_are_the_columns_that_are_there_and_held_out_losses_are_dots(tmp_path: Path) -> None:
    losses = tmp_path / "losses.jsonl"
    steps = [{"step": step, "loss": 3.0 / step, "clips_per_s": 4.0, "left_s": 9.0 - step} for step in range(1, 9)]
    steps[3] |= {"val_loss": 1.0, "val_accuracy": 0.5}
    losses.write_text("".join(json.dumps(step) + "\n" for step in steps))
    entries = entries_of(losses)
    assert loss_curves(losses)[1] == [(4, 1.0)]
    assert panels_of(entries) == ["loss", "clips_per_s", "val_accuracy"]
    dotted = training_png(entries)
    assert dotted.startswith(b"\x89PNG")
    assert dotted != training_png(
        [{**entry, **({"val_loss": 2.0} if "val_loss" in entry else {})} for entry in entries]
    )


def test_a_long_curve_becomes_the_means_of_its_stretches() -> None:
    assert smoothed([(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.0), (5, 5.0)], points=3) == [(2, 3.0), (4, 0.5), (5, 5.0)]
