"""Where a video was cut."""

import numpy as np

from posellm_assets.footage.cuts import CutFinder
from posellm_assets.footage.video import Frame

HALL, PITCH = (np.random.default_rng(seed).integers(0, 256, (120, 400, 3), np.uint8) for seed in range(2))


def frames(*pictures: np.ndarray) -> list[Frame]:
    return [Frame(number / 25, np.ascontiguousarray(rgb)) for number, rgb in enumerate(pictures)]


def cuts_in(shown: list[Frame]) -> list[int]:
    finder = CutFinder()
    return [number for number, frame in enumerate(shown) if finder.is_cut(frame)]


def still(scene: np.ndarray, count: int) -> list[np.ndarray]:
    """A camera that stands, with the noise of its sensor."""
    noise = np.random.default_rng(count).normal(0, 3, (count, 120, 160, 3))
    return list(np.clip(scene[:, :160] + noise, 0, 255).astype(np.uint8))


def test_every_other_scene_is_a_cut_at_its_first_picture_however_short_it_is() -> None:
    assert cuts_in(frames(*still(HALL, 20), *still(PITCH, 3), *still(HALL, 20))) == [20, 23]


def test_a_cut_between_scenes_of_one_brightness_is_found_and_one_picture_alone_is_none() -> None:
    assert abs(float(HALL.mean()) - float(PITCH.mean())) < 2
    assert cuts_in(frames(*still(HALL, 2), *still(PITCH, 2))) == [2]
    assert cuts_in(frames(*still(HALL, 1))) == []


def test_a_camera_that_begins_to_pan_makes_no_cut() -> None:
    smooth = np.kron(np.random.default_rng(0).integers(0, 256, (6, 20, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    place = np.cumsum([0] * 10 + [1, 2, 4, 6, 8, 8, 8, 8, 8, 8, 8, 6, 4, 2, 1] + [0] * 10)
    assert cuts_in(frames(*(smooth[:, at : at + 160] for at in place))) == []


def test_a_cut_from_a_close_up_that_moves_all_the_time_to_somebody_small_is_found() -> None:
    body = np.kron(np.random.default_rng(0).integers(100, 256, (5, 10, 1)), np.ones((24, 24, 3))).astype(np.uint8)
    close = [body[:, at : at + 160] for at in range(0, 72, 6)]
    small = np.full((120, 160, 3), 190, np.uint8)
    small[40:100, 70:90] = 120
    assert cuts_in(frames(*close, *still(small, 12), *close)) == [12, 24]


def test_a_change_of_the_pictures_shape_is_a_cut() -> None:
    shown = frames(*still(HALL, 8))
    assert cuts_in([Frame(one.time_s, one.rgb, int(number >= 5)) for number, one in enumerate(shown)]) == [5]
