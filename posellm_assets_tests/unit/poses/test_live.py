from pathlib import Path

import cv2
import numpy as np
import pytest

from posellm_assets.footage.live import Playback
from posellm_assets.footage.video import Frame
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.live import LatestPoses, Sight, sights
from posellm_assets.poses.subjects import subject_of
from posellm_assets_tests.unit.poses.conftest import write_video

BLACK = np.zeros((48, 64, 3), np.uint8)


def test_poses_while_filming_are_those_of_the_whole_clip(
    pictures: list[tuple[float, np.ndarray]], tmp_path: Path
) -> None:
    athlete = write_video(tmp_path / "athlete.mp4", [rgb for _, rgb in pictures[:24]])
    live = LatestPoses(keep_s=60)
    for sight in sights(Playback(athlete).frames(), PoseConfig()):
        live.add(sight)
    poses, _ = poses_of(athlete, PoseConfig())
    whole, seen = subject_of(poses), live.subject()
    assert seen is not None
    for name in ("time_s", "landmarks", "visibility", "presence", "world"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(whole, name))
    assert (seen.width, seen.height, seen.fps) == (whole.width, whole.height, pytest.approx(whole.fps))


def test_only_the_last_seconds_are_kept_with_those_in_which_nobody_was_there() -> None:
    live = LatestPoses(keep_s=1.0)
    live.add(Sight(Frame(0.0, BLACK), np.ones((33, 8), np.float32)))
    assert live.subject() is None
    for number in range(1, 25):
        live.add(Sight(Frame(number / 8, BLACK), None if number % 2 else np.ones((33, 8), np.float32)))
    subject = live.subject()
    assert subject is not None
    assert subject.time_s.tolist() == [2.0 + number / 8 for number in range(9)]
    assert subject.seen.tolist() == [True, False] * 4 + [True]
    assert (subject.width, subject.height, subject.fps) == (64, 48, 8.0)


def test_what_was_before_a_cut_is_forgotten_and_whoever_is_behind_it_is_seen_at_once(
    pictures: list[tuple[float, np.ndarray]], tmp_path: Path
) -> None:
    wide = [rgb for _, rgb in pictures[:24]]
    height, width = wide[0].shape[:2]
    near = [cv2.resize(rgb[height // 5 :, width // 10 : -width // 10], (width, height)) for rgb in wide[12:]]
    video = write_video(tmp_path / "edited.mp4", wide[:12] + near)
    seen, live = list(sights(Playback(video).frames(), PoseConfig())), LatestPoses(keep_s=60)
    assert [number for number, sight in enumerate(seen) if sight.is_cut] == [12]
    assert all(sight.landmarks is not None for sight in seen)
    for sight in seen:
        live.add(sight)
    subject = live.subject()
    assert subject is not None and subject.time_s[0] == seen[12].frame.time_s
