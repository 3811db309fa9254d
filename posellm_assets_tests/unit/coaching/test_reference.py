"""A movement beside a reference: where there are no rules, and besides them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.reference import MOST_TOLD, differences, reference_of
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.schema import CoachingLabel, read_label
from posellm_assets.coaching.live.comparison import draw_differences
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.labels import read_labels, sidecar_of
from posellm_assets.footage.manifest import read_manifest, write_manifest
from posellm_assets.lake import Lake
from posellm_assets_tests.coaching_clips import DEEP, add, performed

CLEAN = DemoRepetition()
STANDS = {"b_arm": 5.0}


def reaching(angle_deg: float, arms: str = "b", step_s: float = 0.7, azimuth_deg: float = 20.0) -> MeasuredClip:
    """Somebody who reaches up three times, in an exercise that has no rules."""
    return performed(
        "sky reach", STANDS, *([{f"{arms}_arm": angle_deg}, STANDS] * 3), step_s=step_s, azimuth_deg=azimuth_deg
    )


def compared(clip: MeasuredClip, *right: MeasuredClip) -> CoachingLabel:
    return label_clip(clip, RuleTeacher(), reference=reference_of("the coach", right))


def test_the_same_movement_at_another_speed_and_from_another_side_differs_in_nothing() -> None:
    found = compared(reaching(150.0, step_s=1.1, azimuth_deg=-30.0), reaching(150.0))
    assert (found.status, found.differences, found.progress_score) == ("compared", (), None)
    assert len(found.repetitions) == 3 and "the coach" in found.positive_note


@pytest.mark.parametrize(("arm", "other"), [("l", "right"), ("r", "left")])
def test_the_joints_and_the_phase_that_differ_most_are_told_and_drawn(arm: str, other: str) -> None:
    found = compared(reaching(150.0, arms=arm), reaching(150.0))
    assert found.reference == "the coach" and 1 <= len(found.differences) <= MOST_TOLD
    worst = found.differences[0]
    assert (worst.joint, worst.side, worst.phase) == ("shoulder", other, 0.5)
    assert worst.value < 20 and worst.reference == pytest.approx(150, abs=8)
    assert f"Your {other} shoulder" in worst.script and "at the farthest point" in worst.script
    assert worst.visuals is not None
    current, target = (next(v for v in worst.visuals.vectors if v.label == label) for label in ("Current", "Target"))
    assert target.end[1] < current.end[1] - 0.1  # the elbow should be higher in the picture


def test_what_differs_among_the_correct_ones_is_no_difference() -> None:
    right = [reaching(angle_deg) for angle_deg in (100.0, 130.0, 160.0)]
    assert not compared(reaching(105.0), *right).differences
    assert compared(reaching(105.0), right[2]).differences


def test_without_rules_and_reference_one_sentence_says_what_to_do() -> None:
    found = label_clip(reaching(150.0), RuleTeacher())
    assert found.status == "no_rules" and found.error_message is not None
    assert found.error_message.startswith("there are no rules for 'sky reach' and no reference: name one")


def test_a_reference_without_a_whole_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole repetition was found in the reference"):
        reference_of("still.mp4", [performed("sky reach", *[STANDS] * 4)])
    still = performed("sky reach", *[STANDS] * 4)
    assert differences(still, reference_of("the coach", [reaching(150.0)])) == ([], ())


def test_the_lakes_clips_that_are_said_to_be_correct_are_the_reference(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    right = add(lake, 1, "squat", (CLEAN, CLEAN, CLEAN), "2026-01-01T00:00:00Z")
    shallow = add(lake, 2, "squat", (DEEP, DEEP, DEEP), "2026-01-02T00:00:00Z", "Ben")
    assert Labeller(lake, ("rules",)).label(shallow).reference is None
    write_manifest(lake, read_manifest(lake, right).model_copy(update={"form": "correct"}))
    label = Labeller(lake, ("rules",)).label(shallow)
    assert label.reference == "1 clips said to be correct" and label.feedback_points
    assert {one.joint for one in label.differences} & {"knee", "hip"}
    assert read_label(lake.coaching_label(shallow)) == label
    assert Labeller(lake, ("rules",)).label(right).reference is None  # not with itself
    picture = tmp_path / "differences.jpg"
    assert draw_differences(lake.raw / read_manifest(lake, shallow).source, label, picture)
    drawn = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None and drawn.shape[1] > drawn.shape[0]


def test_a_sidecar_says_how_well_it_is_done(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    key = add(lake, 1, "squat", (CLEAN,), "2026-01-01T00:00:00Z")
    sidecar = sidecar_of(lake.raw / read_manifest(lake, key).source)
    write_json(sidecar, {**read_json(sidecar), "form": "correct"})
    assert read_labels(lake.raw, read_manifest(lake, key).source).form == "correct"
