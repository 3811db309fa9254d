import numpy as np
import torch

from posellm_assets.motion.augment import change_speed, mirror
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.parts import HEADING, TRUNK_GROUPS, features_of
from posellm_assets.motion.training_data import TrainingWindows, normalisation
from posellm_assets_tests.unit.motion.people import moving_person

CONFIG = TokenizerConfig(windows=(32,), frames_per_batch=64)


def test_a_window_at_its_own_speed_is_a_piece_of_the_motion_or_of_its_mirror_image():
    motion = moving_person(60)
    views = [features_of(view.cut(start, start + 32)) for view in (motion, mirror(motion)) for start in range(29)]
    arms = torch.stack([view[1] for view in views])
    windows = TrainingWindows([motion], CONFIG.model_copy(update={"speeds": (1.0,)}))
    drawn = [window for _ in range(20) for window in windows.draw(np.random.default_rng(len(views)))[1]]
    for window in drawn:  # between two frames, at the most
        assert (arms - window).abs().amax((1, 2)).min() < 0.1


def test_a_window_that_is_all_of_a_motion_has_its_features():
    motion = moving_person(32)
    windows = TrainingWindows([motion], CONFIG.model_copy(update={"speeds": (1.0,)}))
    drawn = windows.draw(np.random.default_rng(0))
    views = [features_of(motion), features_of(mirror(motion))]
    for row in range(2):
        near = [max(float((part[row] - own).abs().max()) for part, own in zip(drawn, of, strict=True)) for of in views]
        assert min(near) < 1e-4


def test_a_window_at_twice_the_speed_is_the_motion_at_twice_the_speed():
    motion = moving_person(63)
    faster = [features_of(change_speed(view, 2.0)) for view in (motion, mirror(motion))]
    windows = TrainingWindows([motion], CONFIG.model_copy(update={"speeds": (2.0,)}))
    drawn = windows.draw(np.random.default_rng(0))
    for row in range(2):
        near = [max(float((part[row] - own).abs().max()) for part, own in zip(drawn, of, strict=True)) for of in faster]
        assert min(near) < 1e-3


def test_a_short_motion_is_not_played_faster_than_it_fills_the_window():
    motion = moving_person(33)
    windows = TrainingWindows([motion], CONFIG.model_copy(update={"speeds": (1.0, 3.0)}))
    assert [part.shape[:2] for part in windows.draw(np.random.default_rng(0))] == [(2, 32)] * 5


def test_both_arms_are_normalised_alike_and_groups_of_the_trunk_by_one_spread_each():
    motions = [moving_person(80, seed) for seed in range(4)]
    trunk, left_arm, right_arm, left_leg, _ = normalisation(motions)
    for one, other in zip(left_arm, right_arm, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(left_arm[0], left_leg[0])
    mean, std = trunk
    assert all(len(set(std[group].tolist())) == 1 for group in TRUNK_GROUPS)
    faces = torch.cat([features_of(motion)[0][:, HEADING] for motion in motions])
    torch.testing.assert_close(mean[HEADING], faces.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(std[HEADING], faces.std(0).mean().expand(2), atol=1e-4, rtol=1e-4)
