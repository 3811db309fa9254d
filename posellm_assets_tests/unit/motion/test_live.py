from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.live import LiveTokens, windows_of
from posellm_assets.motion.representation import encode, turn
from posellm_assets_tests.unit.motion.test_from_poses import filmed, hidden, standing, wave
from posellm_assets_tests.unit.motion.test_tokenizer import SMALL, untrained

CONFIG = MotionConfig()


@pytest.fixture(scope="module")
def tokenizer():
    return untrained(SMALL.model_copy(update={"layers": 2}))


STEP_S, CODES = 0.4, 10


def cut(subject, frames):
    arrays = ("time_s", "landmarks", "visibility", "presence", "world")
    return replace(subject, **{name: getattr(subject, name)[:frames].copy() for name in arrays})


def test_a_window_knows_nothing_later_than_its_delay(tokenizer):
    subject = hidden(filmed(wave(150) * np.linspace(0.9, 1.1, 150)[:, None, None]), 60, 72)
    windows = windows_of(subject, tokenizer, CONFIG, delay_s=0.4)
    assert len(windows) >= 9
    for frames in (31, 77, 110, 149):
        early = windows_of(cut(subject, frames), tokenizer, CONFIG, delay_s=0.4)
        seen_until = subject.time_s[frames - 1]
        assert [one.end_s for one in early] == [one.end_s for one in windows if one.end_s + 0.4 <= seen_until]
        for one, same in zip(early, windows, strict=False):
            assert one.codes == same.codes
            np.testing.assert_array_equal(one.features, same.features)


def test_a_frame_later_than_the_delay_completes_a_window_and_is_not_in_it(tokenizer):
    subject, other = filmed(wave(40)), filmed(1.3 * wave(40, hertz=3.0))
    given = []
    for last in (subject, other):
        live = LiveTokens(tokenizer, CONFIG)
        for index in range(36):
            live.push(subject.time_s[index], channels(subject, index))
        given.append(live.push(1.25, channels(last, 39)))
    (window,), (same,) = given
    assert window.end_s + 0.4 < 1.25
    assert window.codes == same.codes
    np.testing.assert_array_equal(window.features, same.features)


def channels(subject, index):
    return np.concatenate(
        [
            subject.landmarks[index],
            subject.visibility[index, :, None],
            subject.presence[index, :, None],
            subject.world[index],
        ],
        axis=1,
    )


def turning(joints):
    """Somebody who turns by more than a whole turn, at a changing speed."""
    return turn(joints, np.linspace(0, 2.8, len(joints))[:, None] ** 2)


def lying_down(joints):
    """Somebody who turns, lies down on a side within a second and stays there, turning: no heading shows any more."""
    angle = np.clip(np.linspace(-2, 6, len(joints)), 0, 1)[:, None] * np.pi / 2
    x, y, z = np.moveaxis(joints, -1, 0)
    down = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], axis=-1)
    return turn(down, np.linspace(0.9, 2.9, len(joints))[:, None])


@pytest.mark.parametrize("moved", [lambda joints: joints, turning, lying_down])
def test_with_all_that_the_network_sees_of_the_future_the_codes_are_those_of_the_whole_clip(tokenizer, moved):
    subject = filmed(moved(wave(240)))
    motion = motion_from_poses(subject, CONFIG)
    whole, features = tokenizer.encode(motion), encode(motion)
    windows = windows_of(subject, tokenizer, CONFIG, delay_s=1.6)
    assert len(windows) == (subject.time_s[-1] - 1.6) // STEP_S > 2 * tokenizer.steps_back
    for index, window in enumerate(windows):
        assert window.start_s == pytest.approx(index * STEP_S)
        assert window.codes == tuple(whole[CODES * index : CODES * (index + 1)]), index
        np.testing.assert_allclose(window.features, features[8 * index : 8 * index + 8], atol=1e-5)


def test_somebody_who_leaves_and_comes_back_begins_a_new_motion(tokenizer):
    subject = hidden(filmed(wave(180)), 60, 90)
    starts = [segment.start_s for segment in motion_from_poses(subject, CONFIG).segments(0.4)]
    times = [window.start_s for window in windows_of(subject, tokenizer, CONFIG)]
    left = [time_s for time_s in times if time_s < starts[1] - 1e-6]
    back = [time_s for time_s in times if time_s >= starts[1] - 1e-6]
    assert max(left) + STEP_S <= 59 / 30 + 0.05 + 1e-6
    np.testing.assert_allclose(back, starts[1] + STEP_S * np.arange(len(back)), atol=1e-6)
    assert len(left) >= 4 and len(back) >= 5


def test_nobody_in_view_gives_nothing_and_costs_no_memory(tokenizer):
    live = LiveTokens(tokenizer, CONFIG)
    assert [window for index in range(900) for window in live.push(index / 30, None)] == []
    assert len(live._frame_times_s) < 150


def test_a_small_person_is_measured_as_a_tall_one(tokenizer):
    tall, small = (windows_of(filmed(standing(60) * size), tokenizer, CONFIG) for size in (1.2, 0.8))
    np.testing.assert_allclose(tall[-1].features, small[-1].features, atol=1e-4)


def test_frames_come_in_order_and_at_the_rate_of_the_tokenizer(tokenizer):
    live = LiveTokens(tokenizer, CONFIG)
    live.push(1.0, None)
    with pytest.raises(ValueError, match=r"0\.5 s came after one at 1\.0"):
        live.push(0.5, None)
    with pytest.raises(ValueError, match=r"20\.0 frames/s, not 30\.0"):
        LiveTokens(tokenizer, MotionConfig(fps=30.0))
    with pytest.raises(ValueError, match=r"delay of 0\.1 s"):
        LiveTokens(tokenizer, CONFIG, delay_s=0.1)
