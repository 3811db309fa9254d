"""A vision-language model learns from rows with pictures, through the real assets, and its report says how well."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import dagster as dg
import numpy as np
import pytest

from posellm_assets.coaching.labels.schema import FeedbackPoint
from posellm_assets.coaching.model.config import CoachingDatasetConfig, CoachingVisionJob
from posellm_assets.coaching.model.dataset import (
    CoachingExample,
    UnusableCoaching,
    answer_of,
    picture_rows,
    write_dataset,
)
from posellm_assets.coaching.model.vision_coach import VisionCoach
from posellm_assets.coaching.model.vision_train import train
from posellm_assets.defs import coaching
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource
from posellm_assets.files import read_json, write_json
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.lake import Lake
from posellm_assets.program import Preempted
from posellm_assets.training.backends import Backend
from posellm_assets_tests.assets.test_coaching_model import SNAPSHOT, InThisProcess

HF = Backend("hf", "asked for")
MODEL = {
    "frames": {"count": 2, "size_px": 32},
    "tiny": {"patch_px": 8, "merge": 2, "hidden_size": 48, "layers": 2, "attention_heads": 2, "text_tokens": 1000},
    "precision": "float32",
}
TRAINING = {"epochs": 16, "learning_rate": 3e-3, "clips_per_batch": 2, "batches_per_step": 1}
DEEPER = FeedbackPoint.model_validate(
    {
        "mistake_timestamp_ms": 1200,
        "coaching_script": "Sink deeper.",
        "severity": "major",
        "visuals": {"overlay_type": "POINT_HIGHLIGHT"},
        "fault": "shallow squat",
        "joint": "knee",
        "side": "both",
        "measured": {"quantity": "knee_angle", "value": 110, "unit": "degrees", "target": 95},
        "repetitions": [1],
    }
)
RED, BLUE = ((DEEPER,), (30, 30, 1)), ((), (1, 30, 30))
COUNTS = {"train": 12, "val": 2, "test": 6}


def silently(message: str) -> None:
    """Takes a line of progress nowhere."""


def coloured(folder: Path, out: Path) -> None:
    """A data set of which only the picture tells the answer: squats are shallow on red and right on blue."""
    folder.mkdir()
    generator, examples = np.random.default_rng(0), []
    for split, count in COUNTS.items():
        for number in range(count):
            points, bgr = (RED, BLUE)[number % 2]
            picture = folder / f"{split}{number}.png"
            light = generator.uniform(4, 8)
            cv2.imwrite(str(picture), np.full((24, 32, 3), [light * (31 - part) for part in bgr], np.uint8))
            answer = answer_of("Good.", points)
            examples.append(
                CoachingExample(picture.stem, "squat", None, split, "Exercise: squat.", answer, "rules", picture)  # type: ignore[arg-type]
            )
    write_dataset(out, examples, [], CoachingDatasetConfig())


def test_the_answer_that_only_the_picture_tells_is_learned_and_reported(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    coloured(tmp_path / "pictures", lake.coaching_dataset(SNAPSHOT))
    frozen = Snapshot(
        snapshot=SNAPSHOT, scope="all", created_at="2026-01-01T10:00:00Z", lineage="vq-0", parent=None, videos=[],
        settings={}, code_version="0",
    )  # fmt: skip
    write_json(lake.snapshot(SNAPSHOT), frozen.model_dump())
    settings = {"coaching": {"model": {"kind": "vision", "vision": {"model": MODEL, "training": TRAINING}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(snapshots.name or "", [SNAPSHOT])
        run = dg.materialize(
            [coaching.coaching_model, coaching.coaching_report],
            instance=instance,
            partition_key=SNAPSHOT,
            resources={"lake": LakeResource(root=str(lake.root), settings=settings), "programs": InThisProcess()},
        )
    result = read_json(lake.coaching_model(SNAPSHOT) / "result.json")
    lines = (lake.coaching_model(SNAPSHOT) / "losses.jsonl").read_text().splitlines()
    held_out = [(one["val_loss"], one["step"]) for one in map(json.loads, lines) if "val_loss" in one]
    assert len(held_out) == 4 and result["best_step"] == min(held_out)[1]
    assert result["val"] == {"accuracy": 1.0, "nats": pytest.approx(min(held_out)[0]), "clips": 2}
    metrics = read_json(lake.coaching_report(SNAPSHOT) / "metrics.json")
    assert (metrics["clips"], metrics["points"], metrics["train_clips"]) == (6, 3, 12)
    said = {name: one["figures"] for name, one in metrics["speakers"].items()}
    assert list(said) == ["the vision-language model", "commonest label of the exercise", "nothing is wrong"]
    own = said["the vision-language model"]
    right = ("schema_valid", "exactly_right", "fault_recall", "fault_precision", "side_agreement")
    assert [own[name]["value"] for name in right] == [1.0] * len(right)
    assert own["angle_error_deg"]["value"] == own["time_error_s"]["value"] == 0
    assert said["nothing is wrong"]["exactly_right"]["value"] == 0.5
    assert "| the vision-language model |" in (lake.coaching_report(SNAPSHOT) / "report.md").read_text()
    (verdict,) = run.get_asset_check_evaluations()
    assert verdict.passed


def job(folder: Path, name: str, **training: Any) -> CoachingVisionJob:
    settings = TRAINING | {"epochs": 1, "clips_per_batch": 4, "evaluations": 3} | training
    return CoachingVisionJob.model_validate(
        {"dataset": folder / "data", "out": folder / name, "model": MODEL, "training": settings}
    )


def after(times: int) -> Callable[[], bool]:
    """Says at the call after `times` that training should stop."""
    calls = iter(range(times))
    return lambda: next(calls, None) is None


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    coloured(tmp_path / "pictures", tmp_path / "data")
    calm, stopped = job(tmp_path, "calm"), job(tmp_path, "stopped")
    train(calm, HF, silently)
    with pytest.raises(Preempted, match="resumes from step 1 of 3"):
        train(stopped, HF, silently, after(1))
    said: list[str] = []
    train(stopped, HF, said.append)
    assert "resumes from step 1" in said[0]
    weights = [(one.out / "final" / "model.safetensors").read_bytes() for one in (calm, stopped)]
    assert weights[0] == weights[1]


def test_what_cannot_be_trained_on_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableCoaching, match=r"there is no .*train\.images\.jsonl; make the data set"):
        train(job(tmp_path, "none"), HF, silently)
    coloured(tmp_path / "pictures", tmp_path / "data")
    (tmp_path / "data" / "images" / "train3.png").write_bytes(b"no picture")
    with pytest.raises(UnusableCoaching, match=r"train3\.png: .*make the data set again"):
        train(job(tmp_path, "broken"), HF, silently)
    picture_rows(tmp_path / "data", "train").write_text("")
    with pytest.raises(UnusableCoaching, match=r"train\.images\.jsonl has no row: label videos"):
        train(job(tmp_path, "empty"), HF, silently)
    with pytest.raises(UnusableCoaching, match=r"holds no vision_coach\.json"):
        VisionCoach.load(tmp_path)
