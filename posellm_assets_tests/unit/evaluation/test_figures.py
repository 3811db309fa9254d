"""The figures in a report, read back by those who decide upon them or show them."""

import json
from pathlib import Path

import pytest

from posellm_assets.evaluation.figures import Figures, MeasuredFigures
from posellm_assets.files import write_json
from posellm_assets.reports.metrics import Figure


def test_figures_are_read_back_as_they_were_measured(tmp_path: Path) -> None:
    figures = Figures()
    figures.overall["naming_accuracy"] = Figure(value=0.5, n=8, interval=(0.2, 0.8))
    figures.skip(["fid_generated"], "the test split is empty")
    write_json(tmp_path / "metrics.json", {**figures.to_json(), "seconds": 3.0})
    measured = MeasuredFigures.read(tmp_path)
    assert measured.figures == figures.overall and measured.absent == {"fid_generated": "the test split is empty"}


def test_a_damaged_report_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"figures": {"naming_accuracy": {"value": "high", "n": 8}}, "absent": {}}))
    with pytest.raises(ValueError, match=r"damaged \(figures\.naming_accuracy\.value: .*materialize evaluation_report"):
        MeasuredFigures.read(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"metrics\.json is damaged"):
        MeasuredFigures.read(tmp_path)
