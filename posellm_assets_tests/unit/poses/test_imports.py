"""Landmarks that were found elsewhere: what an array must say, what is made up, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.imports import declared, read_landmarks
from posellm_assets.poses.landmarks import MIRROR, NAMES
from posellm_assets.poses.poses import CHANNELS, Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets_tests.unit.poses.bodies import FPS, poses_of, walking

UNDECLARED = declared()


def squatting(frames: int = 50) -> Poses:
    """Somebody whose hips sink and rise while the knees go ahead, in a picture of 1280 x 720."""
    poses = poses_of([walking(frames, 640, 640)])
    down = 0.15 * (1 - np.cos(2 * np.pi * np.arange(frames) / 25))
    for joint, share in ((23, 1.0), (24, 1.0), (25, 0.5), (26, 0.5)):
        poses.world[:, 0, joint, 1] += share * down
        poses.landmarks[:, 0, joint, 1] += share * down * 200 / 720
    poses.world[:, 0, 25:27, 2] -= 0.8 * down[:, None]
    poses.landmarks[:, 0, 25:27, 2] -= 0.8 * down[:, None] * 200 / 1280
    return poses


def array_of(poses: Poses, channels: tuple[str, ...] = CHANNELS) -> np.ndarray:
    """(T, P, 33, C)"""
    sure = poses.visibility[..., None], poses.presence[..., None]
    whole = np.concatenate([poses.landmarks, *sure, poses.world], axis=-1)
    return whole[..., [CHANNELS.index(name) for name in channels]]


def save(folder: Path, array: np.ndarray, **said: object) -> Path:
    np.save(folder / "squat.npy", array)
    (folder / "squat.npy.json").write_text(json.dumps(said))
    return folder / "squat.npy"


def test_the_poses_of_another_lake_come_in_as_they_are(tmp_path: Path) -> None:
    poses = squatting()
    poses.write(tmp_path / "gym.squat.0123abcd.parquet")
    found = read_landmarks(tmp_path / "gym.squat.0123abcd.parquet", declared(label="squat"))
    assert (found.name, found.labels.label) == ("gym.squat.0123abcd", "squat")
    assert np.array_equal(found.poses.world, poses.world)
    with pytest.raises(ValueError, match=r"says its own fps"):
        read_landmarks(tmp_path / "gym.squat.0123abcd.parquet", declared(fps=30))


def test_an_array_of_all_channels_is_the_same_poses(tmp_path: Path) -> None:
    poses = squatting()
    path = save(tmp_path, array_of(poses)[:, 0], fps=FPS, width=1280, height=720, participant="ana")
    found = read_landmarks(path, UNDECLARED)
    for name in ("time_s", "landmarks", "visibility", "presence", "world"):
        np.testing.assert_allclose(getattr(found.poses, name), getattr(poses, name), atol=1e-6)
    assert found.poses.parameters["made_up"] == [] and found.labels.participant == "ana"


@pytest.mark.parametrize(
    ("channels", "made_up"),
    [(("x", "y", "z", "visibility"), ["metres"]), (("world_x", "world_y", "world_z"), ["picture"])],
)
def test_from_half_of_the_channels_comes_the_same_motion(
    tmp_path: Path, channels: tuple[str, ...], made_up: list[str]
) -> None:
    poses = squatting()
    size = {"width": 1280, "height": 720} if "x" in channels else {}
    path = save(tmp_path, array_of(poses, channels)[:, 0], channels=channels, fps=FPS, **size)
    found = read_landmarks(path, UNDECLARED)
    assert found.poses.parameters["made_up"] == made_up
    motions = [motion_from_poses(subject_of(one), MotionConfig()).joints for one in (poses, found.poses)]
    np.testing.assert_allclose(motions[1], motions[0], atol=0.005)


def test_frames_of_zeros_or_without_numbers_show_nobody(tmp_path: Path) -> None:
    array = array_of(squatting())
    array[3], array[5, 0, 7] = 0.0, np.nan
    found = read_landmarks(save(tmp_path, array, fps=FPS, width=1280, height=720), UNDECLARED)
    assert np.flatnonzero(~found.poses.seen[:, 0]).tolist() == [3, 5]


def test_positions_with_y_up_must_be_declared_so(tmp_path: Path) -> None:
    poses = squatting()
    names = ("world_x", "world_y", "world_z")
    array = array_of(poses, names) * np.array([1, -1, -1], np.float32)
    path = save(tmp_path, array, channels=names, fps=FPS)
    with pytest.raises(ValueError, match="the shoulders are below the hips: declare the axis that points up"):
        read_landmarks(path, UNDECLARED)
    np.testing.assert_allclose(read_landmarks(path, declared(up="y")).poses.world, poses.world, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "said", "reason"),
    [
        ((9, 33, 4), {}, r"declare channels and fps in squat\.npy\.json"),
        ((9, 33, 4), {"channels": ["x", "y", "z"], "fps": 30}, r"array is \(9, 33, 4\); with 3 channels"),
        ((9, 17, 3), {"channels": ["x", "y", "z"], "fps": 30}, r"must be \(frames, 33, 3\)"),
        ((9, 33, 3), {"channels": ["x", "y", "y"], "fps": 30}, "each once"),
        ((9, 33, 3), {"channels": ["x", "y", "z"], "fps": 30}, "declare width and height"),
        ((9, 33, 2), {"channels": ["x", "y"], "fps": 30}, "needs the channels x, y, z, or"),
        ((9, 33, 3), {"channels": ["x", "y", "depth"], "fps": 30}, r"squat\.npy\.json: channels\.2: Input should be"),
        ((9, 33, 8), {"fps": 1e6}, r"squat\.npy\.json: fps"),
        ((9, 33, 8), {"fps": 30, "width": 10**9, "height": 720}, r"squat\.npy\.json: width"),
        ((9, 99, 33, 8), {"fps": 30, "width": 640, "height": 720}, "9 frames of 99 people are too many"),
    ],
)
def test_what_cannot_become_poses_is_named_with_what_to_do(
    tmp_path: Path, shape: tuple[int, ...], said: dict[str, object], reason: str
) -> None:
    path = save(tmp_path, np.full(shape, 0.5, np.float32), **said)
    with pytest.raises(ValueError, match=reason) as caught:
        read_landmarks(path, UNDECLARED)
    assert str(caught.value).startswith(str(path))


def test_pixels_are_told_from_shares(tmp_path: Path) -> None:
    array = array_of(squatting()) * np.array([1280, 720, 1280, 1, 1, 1, 1, 1], np.float32)
    with pytest.raises(ValueError, match="must be shares of the picture's width and height"):
        read_landmarks(save(tmp_path, array, fps=FPS, width=1280, height=720), UNDECLARED)


def test_an_array_that_promises_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    path = save(tmp_path, np.zeros((4, 33, 8), np.float32), fps=30, width=640, height=480)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(4, 33, 8), ", b"(9999999999, 33, 8), ").replace(b" " * 20, b" " * 11, 1))
    with pytest.raises(ValueError, match="not a NumPy array of numbers, or it is cut short"):
        read_landmarks(path, UNDECLARED)


def test_a_mirror_exchanges_the_sides_and_is_its_own_inverse() -> None:
    assert [NAMES[other] for other in MIRROR[:4]] == ["nose", "right_eye_inner", "right_eye", "right_eye_outer"]
    assert NAMES[MIRROR[9]] == "mouth_right"
    poses = squatting()
    poses.world[:, 0, 15] += np.array([0.1, -0.4, 0.2], np.float32)
    shown = poses.mirrored()
    np.testing.assert_allclose(shown.world[:, 0, 16], poses.world[:, 0, 15] * [-1, 1, 1])
    np.testing.assert_allclose(shown.landmarks[:, 0, 16, 0], 1 - poses.landmarks[:, 0, 15, 0], atol=1e-6)
    np.testing.assert_allclose(shown.mirrored().landmarks, poses.landmarks, atol=1e-6)
