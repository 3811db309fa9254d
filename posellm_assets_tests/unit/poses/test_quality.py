"""Gates: what keeps a clip out, and what is only said."""

import numpy as np
import pytest

from posellm_assets.poses import landmarks as lm
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.poses.quality import Check, Quality, assess
from posellm_assets_tests.unit.poses.bodies import poses_of, standing, walking

CONFIG = PoseConfig()


def subject_of(path: np.ndarray) -> SubjectPoses:
    seen = np.isfinite(path[:, 0])
    return poses_of([path]).of(np.where(seen, 0, -1))


def verdict(quality: Quality, name: str) -> Check:
    return next(check for check in quality.checks if check.name == name)


def test_a_clean_walk_passes_everything() -> None:
    quality = assess(subject_of(walking(60, 300, 900)), CONFIG)
    assert quality.passed
    assert (quality.reason, quality.warnings) == ("", [])
    assert [check.name for check in quality.checks] == [
        "schema",
        "person_coverage",
        "body_in_view",
        "bone_length_stability",
        "hidden_joints",
        "left_right_swaps",
        "jitter",
        "frame_rate",
        "damaged_packets",
    ]


def test_an_empty_stretch_blocks_with_the_share_in_the_reason() -> None:
    path = standing(100, 600)
    path[:80] = np.nan
    quality = assess(subject_of(path), CONFIG)
    assert not quality.passed
    assert verdict(quality, "person_coverage").value == pytest.approx(0.2)
    assert "No person in view in 80% of 100 frames" in quality.reason


def test_a_clip_without_anybody_gives_all_verdicts_and_fails() -> None:
    quality = assess(subject_of(np.full((20, 3), np.nan)), CONFIG)
    assert not quality.passed
    assert len(quality.checks) == 9
    assert "100% of 20 frames" in quality.reason


def test_a_talking_head_is_blocked_although_it_is_always_there() -> None:
    poses = subject_of(standing(50, 600, y=780))
    poses.visibility[:, 23:] = 0.02
    quality = assess(poses, CONFIG)
    assert not quality.passed
    assert "film the whole body" in quality.reason and "from the side" not in quality.reason


def test_legs_that_the_body_hides_keep_no_clip_out_and_are_named_with_a_remedy() -> None:
    poses = subject_of(standing(50, 600))
    poses.visibility[:, 25:] = 0.02
    quality = assess(poses, CONFIG)
    assert quality.passed
    assert "The knees and ankles are hidden" in quality.warnings[0] and "film from the side" in quality.warnings[0]


def test_whom_nothing_but_the_shoulders_is_made_out_of_is_refused() -> None:
    poses = subject_of(standing(50, 600))
    poses.visibility[:, 13:] = 0.02
    quality = assess(poses, CONFIG)
    assert not quality.passed
    assert "hard to make out" in quality.reason and "whole body" not in quality.reason


def test_a_side_view_that_hides_the_far_leg_passes() -> None:
    poses = subject_of(standing(50, 600))
    poses.visibility[:, [12, 14, 16, 24, 26, 28, 30, 32]] = 0.05
    assert assess(poses, CONFIG).passed


def test_sides_that_change_places_are_counted_and_do_not_block() -> None:
    poses = subject_of(standing(50, 600))
    left, right = np.array(lm.PAIRS).T
    for frame in (10, 30):
        poses.landmarks[frame][np.concatenate([left, right])] = poses.landmarks[frame][np.concatenate([right, left])]
    quality = assess(poses, CONFIG)
    swaps = verdict(quality, "left_right_swaps")
    assert swaps.value == pytest.approx(4 / 49)  # there and back, twice
    assert not swaps.passed
    assert quality.passed
    assert "may be wrong" in quality.warnings[0]


def test_jitter_is_measured_in_torso_lengths_and_fast_movement_is_none() -> None:
    poses = subject_of(walking(200, 100, 1200))
    assert verdict(assess(poses, CONFIG), "jitter").value < 1e-4
    noise = np.random.default_rng(0).normal(0, 4.0, (*poses.landmarks.shape[:2], 2))  # px; the torso has 100
    poses.landmarks[..., :2] += (noise / [1280, 720]).astype(np.float32)
    jitter = verdict(assess(poses, CONFIG), "jitter")
    assert jitter.value == pytest.approx(0.04 * 1.18, rel=0.1)  # the median of a Rayleigh distribution is 1.18 sigma
    assert not jitter.passed


def test_limbs_that_change_length_as_no_body_does_are_refused() -> None:
    poses = subject_of(standing(100, 600))
    poses.world *= np.random.default_rng(0).uniform(0.4, 1.6, (100, 1, 1)).astype(np.float32)
    quality = assess(poses, CONFIG)
    assert not quality.passed and "this is no person" in quality.reason


def test_limbs_that_are_hidden_may_be_guessed_at_any_length() -> None:
    poses = subject_of(standing(100, 600))
    poses.world[:, 23:] *= np.random.default_rng(0).uniform(0.4, 1.6, (100, 1, 1)).astype(np.float32)
    poses.visibility[:, 25:] = 0.02
    assert assess(poses, CONFIG).passed


def test_times_that_stand_still_fail_the_schema() -> None:
    poses = subject_of(standing(10, 600))
    poses.time_s[4] = poses.time_s[3]
    quality = assess(poses, CONFIG)
    assert not quality.passed
    assert "do not increase" in verdict(quality, "schema").reason


def test_the_verdicts_survive_json() -> None:
    quality = assess(subject_of(standing(10, 600)), CONFIG)
    assert Quality.model_validate_json(quality.model_dump_json()) == quality
