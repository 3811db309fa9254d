import numpy as np
import torch

from posellm_assets.motion import representation
from posellm_assets.motion.augment import change_speed
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.training_data import TrainingWindows, mirrored_features
from posellm_assets_tests.unit.motion.people import moving_person

CONFIG = TokenizerConfig(windows=(32,), frames_per_batch=64)


def test_each_clip_is_there_plain_and_mirrored_if_it_is_long_enough():
    features = mirrored_features([moving_person(40), moving_person(20)], 32)
    assert [len(f) for f in features] == [40, 40]
    yaw = representation.layout(moving_person(1).skeleton).yaw_velocity
    np.testing.assert_allclose(features[0][:, yaw], -features[1][:, yaw], atol=1e-5)


def test_a_window_at_its_own_speed_is_a_piece_of_the_motion():
    motion = moving_person(60)
    (features, _) = mirrored_features([motion], 32)
    windows = TrainingWindows([features], motion, CONFIG.model_copy(update={"speeds": (1.0,)}))
    for window in windows.draw(np.random.default_rng(0)):
        apart = (torch.from_numpy(features).unfold(0, 32, 1).transpose(1, 2) - window).abs().amax((1, 2))
        assert apart.min() < 1.0  # between two frames, at the most
    exact = TrainingWindows([features[:32]], motion, CONFIG.model_copy(update={"speeds": (1.0,)}))
    np.testing.assert_allclose(exact.draw(np.random.default_rng(0))[0], features[:32], atol=1e-5)


def test_a_window_at_twice_the_speed_is_the_motion_at_twice_the_speed():
    motion = moving_person(63)
    (features, _) = mirrored_features([motion], 32)
    windows = TrainingWindows([features], motion, CONFIG.model_copy(update={"speeds": (2.0,)}))
    faster = representation.encode(change_speed(motion, 2.0))
    drawn = windows.draw(np.random.default_rng(0))[0].numpy()
    parts = representation.layout(motion.skeleton)
    np.testing.assert_allclose(drawn[:, parts.positions], faster[:, parts.positions], atol=1e-3)
    for part in (parts.yaw_velocity, parts.planar_velocity, parts.velocities):
        apart = np.abs(drawn[:-1, part] - faster[:-1, part]).mean()
        assert apart < 0.2 * np.abs(faster[:-1, part]).mean()
    assert (drawn[:, parts.contacts] == faster[:, parts.contacts]).mean() > 0.9


def test_a_short_motion_is_not_played_faster_than_it_fills_the_window():
    motion = moving_person(33)
    (features, _) = mirrored_features([motion], 32)
    windows = TrainingWindows([features], motion, CONFIG.model_copy(update={"speeds": (1.0, 3.0)}))
    assert windows.draw(np.random.default_rng(0)).shape == (2, 32, features.shape[1])
