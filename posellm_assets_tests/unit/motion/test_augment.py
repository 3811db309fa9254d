"""Bent clocks and noisy joints; mirroring, speed and phase are tested with the representation."""

import numpy as np
import pytest

from posellm_assets.motion.augment import add_noise, mirror, warp_time
from posellm_assets.motion.bvh import motion_from_bvh
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.sources import Declaration
from posellm_assets.motion.tokenise import variants_of
from posellm_assets_tests.unit.motion.people import moving_person, real_data
from posellm_assets_tests.unit.motion.test_tokenizer import tokenizer as untrained  # noqa: F401 - a fixture


def line(frames):
    """Somebody whose every coordinate is the number of the frame."""
    motion = moving_person(frames)
    motion.joints[:] = np.arange(frames, dtype=np.float32)[:, None, None]
    return motion


def test_a_bent_clock_runs_forward_between_the_same_first_and_last_frame():
    tempos = []
    for seed in range(20):
        clock = warp_time(line(200), 0.2, np.random.default_rng(seed)).joints[:, 0, 0]
        assert (clock[0], clock[-1]) == (0, pytest.approx(199, abs=1e-3))
        tempo = np.diff(clock)
        assert tempo.min() > 0
        assert np.abs(np.diff(tempo)).max() < 0.1, "the tempo changes smoothly"
        tempos.append(np.log(tempo))
    assert np.std(tempos) == pytest.approx(0.2, abs=0.05)


def test_noise_has_its_size_and_varies_slowly():
    motion = line(400)
    off = add_noise(motion, 5, np.random.default_rng(0)).joints - motion.joints
    assert 1000 * off.std() == pytest.approx(5, rel=0.05)
    assert np.diff(off, axis=0).std() < 0.6 * off.std()


def test_a_gap_stays_a_gap():
    motion = moving_person(80)
    motion.joints[30:40] = np.nan
    rng = np.random.default_rng(0)
    assert (add_noise(motion, 5, rng).known == motion.known).all()
    assert 8 <= (~warp_time(motion, 0.2, rng).known).sum() <= 16


def test_asked_for_variants_are_tokenised_too_and_are_the_same_again(untrained):  # noqa: F811
    bent = untrained.config.model_copy(update={"warps": (0.2,), "noises_mm": (5.0,)})
    untrained = type(untrained)(**{**vars(untrained), "config": bent})
    first, again = (variants_of(moving_person(80), untrained) for _ in range(2))
    names = [variant.name for variant in first]
    assert names[-4:] == ["warp-0.2", "mirrored_warp-0.2", "noise-5", "mirrored_noise-5"]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.motion.joints, other.motion.joints)
    np.testing.assert_array_equal(first[-1].motion.joints, mirror(first[-2].motion).joints)
    with pytest.raises(ValueError, match="each must be positive"):
        TokenizerConfig(warps=(0.0,))


def test_in_a_mirror_a_raised_left_hand_is_a_raised_right_hand():
    path = real_data() / "motion" / "bvh" / "dataset-2_raise-up-left-hand_normal_001.bvh"
    motion = motion_from_bvh(path, Declaration())
    highest = {}
    for name, view in (("real", motion), ("mirrored", mirror(motion))):
        for side in ("left", "right"):
            highest[name, side] = view.joints[:, view.skeleton.index(f"{side}_wrist"), 1].max()
    assert highest["real", "left"] > highest["real", "right"] + 0.3
    assert highest["mirrored", "right"] == highest["real", "left"]
    np.testing.assert_array_equal(mirror(mirror(motion)).joints, motion.joints)
