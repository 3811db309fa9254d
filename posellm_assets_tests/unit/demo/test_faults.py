"""Planted faults: what they do to the joints, where they may be planted, and the truth beside a clip."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.demo.faults import FAULTS_OF, STAND_S, DemoRepetition, PlannedRepetition, timed
from posellm_assets.demo.footage import (
    FPS,
    ClipPlan,
    exact_truth,
    plan,
    read_repetitions,
    render_clip,
    rendered_athlete,
    truth_of,
    with_faults,
)
from posellm_assets.demo.skeleton import landmarks

CLIPS = {clip.label: clip for clip in plan()}
HIPS, KNEES, ANKLES, SHOULDERS, WRISTS = (23, 24), (25, 26), (27, 28), (11, 12), (15, 16)  # left, right


def at_the_middle(label: str, *repetitions: DemoRepetition) -> tuple[ClipPlan, list[np.ndarray]]:
    """The landmarks (33, 3) in world axes in the middle of each repetition."""
    clip = with_faults(CLIPS[label], repetitions)
    points = landmarks(rendered_athlete(clip).bones)
    spans = timed(clip.movement, clip.tempo, repetitions)
    return clip, [points[round((span.start_s + span.end_s) / 2 * FPS)] for span in spans]


def hip_height(points: np.ndarray) -> float:
    return float(points[list(HIPS), 1].mean() - points[list(ANKLES), 1].mean())


def knees_apart(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[KNEES[0]] - points[KNEES[1]]))


def test_a_shallow_squat_sinks_half_as_far_with_the_arms_as_high() -> None:
    _, (clean, shallow) = at_the_middle("squat", DemoRepetition(), DemoRepetition("shallow"))
    standing = landmarks(rendered_athlete(with_faults(CLIPS["squat"], [DemoRepetition()])).bones)[0]
    sinks = [hip_height(standing) - hip_height(points) for points in (clean, shallow)]
    assert 0.4 < sinks[1] / sinks[0] < 0.6
    raised = [points[15, 1] - points[11, 1] for points in (clean, shallow)]
    assert raised[0] == pytest.approx(raised[1], abs=0.25)


def test_knees_that_fall_in_come_closer_than_the_ankles_and_one_knee_falls_in_alone() -> None:
    _, (clean, both, left) = at_the_middle(
        "squat", DemoRepetition(), DemoRepetition("knee valgus"), DemoRepetition("knee valgus", "left")
    )
    ankles = np.linalg.norm(clean[27] - clean[28])
    assert knees_apart(both) < ankles < knees_apart(clean)
    assert knees_apart(both) < knees_apart(left) < knees_apart(clean)
    assert np.allclose(left[KNEES[1]], clean[KNEES[1]], atol=0.01)


@pytest.mark.parametrize(("lags", "keeps"), [(0, 1), (1, 0)])
def test_the_arm_that_lags_is_the_one_named_and_the_other_goes_all_the_way(lags: int, keeps: int) -> None:
    side = ("left", "right")[lags]
    _, (clean, asymmetric) = at_the_middle("jumping jack", DemoRepetition(), DemoRepetition("asymmetric arms", side))  # type: ignore[arg-type]
    rises = asymmetric[list(WRISTS), 1] - asymmetric[list(SHOULDERS), 1]
    usual = clean[list(WRISTS), 1] - clean[list(SHOULDERS), 1]
    assert rises[lags] < 0.3 * usual[lags]
    assert rises[keeps] == pytest.approx(usual[keeps], abs=0.02)


def test_a_repetition_too_fast_takes_half_the_time_and_the_others_their_own() -> None:
    clip = CLIPS["lunge"]
    clean, fast, after = timed(
        clip.movement, clip.tempo, [DemoRepetition(), DemoRepetition("too fast"), DemoRepetition()]
    )
    assert (fast.end_s - fast.start_s) == pytest.approx((clean.end_s - clean.start_s) / 2)
    assert (after.end_s - after.start_s) == pytest.approx(clean.end_s - clean.start_s)
    assert (clean.start_s, fast.start_s, after.start_s) == (STAND_S, clean.end_s, fast.end_s)


def test_a_truncated_range_raises_no_arm_as_high() -> None:
    _, (clean, truncated) = at_the_middle("jumping jack", DemoRepetition(), DemoRepetition("truncated range"))
    assert (truncated[list(WRISTS), 1] < clean[list(WRISTS), 1] - 0.3).all()


@pytest.mark.parametrize("label", ["squat", "lunge", "jumping jack", "arm raise", "left side bend"])
def test_no_fault_makes_a_joint_jump_between_two_frames(label: str) -> None:
    clip = CLIPS[label]
    faults = [fault for fault in FAULTS_OF[clip.movement.name] if fault != "too fast"]
    sides = {"asymmetric arms": "left", "knee valgus": clip.side}
    faulty = [DemoRepetition(fault, sides.get(fault)) for fault in (*faults, *reversed(faults))]  # type: ignore[arg-type]
    largest = [
        np.linalg.norm(np.diff(landmarks(rendered_athlete(with_faults(clip, shown)).bones), axis=0), axis=-1).max()
        for shown in (faulty, [DemoRepetition()])
    ]
    assert largest[0] < 1.5 * largest[1]


@pytest.mark.parametrize(
    ("label", "repetition", "says"),
    [
        ("run", DemoRepetition("shallow"), "run cannot show 'shallow', only no fault"),
        ("side bend", DemoRepetition("knee valgus"), "only truncated range, too fast"),
        ("squat", DemoRepetition("asymmetric arms"), "need the side"),
        ("squat", DemoRepetition("shallow", "left"), "shallow has no side"),
        ("lunge", DemoRepetition("knee valgus", "rear"), "in front, that can fall in"),
    ],
)
def test_a_fault_that_cannot_be_shown_is_refused(label: str, repetition: DemoRepetition, says: str) -> None:
    clip = next(clip for clip in CLIPS.values() if clip.movement.name == label)
    if repetition.side == "rear":  # type: ignore[comparison-overlap]
        repetition = replace(repetition, side="left" if clip.side == "right" else "right")
    with pytest.raises(ValueError, match=says):
        with_faults(clip, [repetition])


def test_the_truth_beside_a_clip_says_what_was_planted_and_when(tmp_path: Path) -> None:
    wanted: Sequence[DemoRepetition] = [
        DemoRepetition("too fast"),
        DemoRepetition("knee valgus", "left"),
        DemoRepetition(),
    ]
    clip = with_faults(replace(CLIPS["squat"], tempo=4.0), wanted)
    path = render_clip(clip, tmp_path)
    read = read_repetitions(path)
    assert read == timed(clip.movement, clip.tempo, wanted)
    assert [(one.fault, one.side) for one in read] == [("too fast", None), ("knee valgus", "left"), (None, None)]
    assert isinstance(read[0], PlannedRepetition)
    with np.load(truth_of(path), allow_pickle=False) as truth:
        assert truth["repetitions"] == 3
        assert truth["time_s"][-1] == pytest.approx(read[-1].end_s + STAND_S, abs=1.5 / FPS)


def test_a_clip_without_planted_faults_has_the_truth_that_it_always_had() -> None:
    clip = replace(CLIPS["squat"], duration_s=0.2)
    assert not {name for name in exact_truth(clip, rendered_athlete(clip)) if name.startswith("repetition_")}
