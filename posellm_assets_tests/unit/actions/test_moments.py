"""Where to look in a long video: hits, their sound, shots, windows."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from posellm_assets.actions.moments.config import HitConfig, WindowConfig
from posellm_assets.actions.moments.hits import Activity, Hit, activity, find_hits, without_neighbours
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.actions.moments.sound import onsets
from posellm_assets.actions.moments.windows import merged, window_spans
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.motion.config import MotionConfig
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video

FPS = 20.0


def moving(*swings: tuple[float, float], seconds: float = 10.0, energy: float = 1.0) -> Activity:
    """Somebody who stands about, but for swings (time, m/s) that last a fifth of a second."""
    time_s = np.arange(round(seconds * FPS)) / FPS
    speed = np.full(len(time_s), 0.5) + 0.1 * np.sin(7 * time_s)
    for at, top in swings:
        speed += top * np.exp(-(((time_s - at) / 0.1) ** 2))
    return Activity(time_s, speed, np.where(speed > 1, energy, 0.2))


def test_every_swing_is_one_hit_at_its_fastest_moment_and_walking_is_none() -> None:
    found = find_hits([moving((2.0, 8.0), (4.0, 6.0), (6.5, 3.0))], HitConfig())
    assert [hit.time_s for hit in found] == pytest.approx([1.97, 3.97], abs=0.05)
    assert found[0].confidence > found[1].confidence > 0.5
    assert find_hits([moving()], HitConfig()) == []
    assert find_hits([], HitConfig()) == []


def test_of_two_hits_too_near_each_other_the_stronger_one_stays() -> None:
    hits = [Hit(1.0, 0.6), Hit(1.5, 0.9), Hit(2.0, 0.7), Hit(3.0, 0.6)]
    assert [hit.time_s for hit in without_neighbours(hits, 0.7)] == [1.5, 3.0]


def test_a_wrist_that_jumps_while_the_body_is_still_is_no_hit() -> None:
    assert find_hits([moving((2.0, 8.0), energy=0.05)], HitConfig()) == []


def test_a_sound_times_a_hit_and_makes_up_for_some_speed() -> None:
    config = HitConfig(use_sound=True)
    shots = [moving((2.0, 6.0), (4.0, 3.1))]
    assert [hit.time_s for hit in find_hits(shots, config)] == pytest.approx([1.97], abs=0.05)
    heard = find_hits(shots, config, [(2.09, 0.9), (4.05, 0.9), (7.0, 1.0)])
    assert [hit.time_s for hit in heard] == [2.09, 4.05]


def test_the_hits_of_rendered_strokes_are_found_where_the_arm_is_stretched() -> None:
    clip = cycles(takes("serve")[0], 3)
    (motion,), _ = motions_of_shots(seen(clip), MotionConfig())
    truth = [(cycle + 0.54) * clip.movement.cycle_s / clip.tempo for cycle in range(3)]
    found = find_hits([activity(motion, "hand")], HitConfig())
    assert [hit.time_s for hit in found] == pytest.approx(truth, abs=0.2)


def test_clicks_are_heard_and_a_video_without_sound_has_none(tmp_path: Path) -> None:
    rate, clicks = 44_100, (0.5, 1.3, 1.8)
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.003, 2 * rate).astype(np.float32)
    for at in clicks:
        burst = np.exp(-np.arange(1500) / 200) * rng.normal(0, 0.5, 1500)
        sound[round(at * rate) :][:1500] += burst.astype(np.float32)
    path = tmp_path / "clicks.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=rate)
        frame = av.AudioFrame.from_ndarray((sound * 32_000).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        container.mux([*track.encode(frame), *track.encode(None)])
    assert [time_s for time_s, _ in onsets(path)] == pytest.approx(clicks, abs=0.03)
    assert onsets(write_grey_video(tmp_path / "silent.mp4", [10], [90])) == []
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableVideo, match="sound cannot be decoded"):
        onsets(tmp_path / "none.mp4")


def test_a_shot_is_not_told_across_a_cut() -> None:
    clip = cycles(takes("squat")[0], 4)
    motions, left_out = motions_of_shots(replace(seen(clip), cuts_s=(2.0, 2.5)), MotionConfig())
    assert [round(motion.start_s, 1) for motion in motions] == [0.0, 2.5]
    assert len(left_out) == 1 and left_out[0].startswith("2.0 to 2.5 s")


def test_windows_cover_everything_and_end_with_the_video() -> None:
    config = WindowConfig(length_s=2.0, hop_s=0.5)
    spans = np.array(window_spans(1.0, 4.2, config))
    assert spans == pytest.approx(np.array([(1.0, 3.0), (1.5, 3.5), (2.0, 4.0), (2.2, 4.2)]))
    assert window_spans(0.0, 1.2, config) == [(0.0, 1.2)]


def test_a_moment_of_doubt_does_not_end_an_action_but_another_action_does() -> None:
    config = WindowConfig(length_s=1.0, hop_s=1.0, enter=0.6, leave=0.4, min_s=1.0)
    spans = [(float(start), start + 1.0) for start in range(7)]
    squat = [0.9, 0.5, 0.8, 0.2, 0.1, 0.35, 0.3]
    stretches = merged(spans, [{"squat": p, "lunge": 1 - p} for p in squat], config)
    assert [(one.class_id, one.start_s, one.end_s) for one in stretches] == [("squat", 0, 3), ("lunge", 3, 7)]
    assert stretches[0].confidence == pytest.approx((0.9 + 0.5 + 0.8) / 3)
    doubtful = merged(spans, [{"squat": 0.5, "lunge": 0.5}] * 7, config)
    assert doubtful == [] and merged([], [], config) == []
