"""What is drawn over a picture of a person."""

import cv2
import numpy as np

from posellm_assets.poses.contact_sheet import contact_sheet, small, tile_times
from posellm_assets.poses.drawing import ascii_of, draw_corner, draw_skeleton
from posellm_assets.poses.subjects import choose_subject
from posellm_assets_tests.unit.poses.bodies import poses_of, standing


def blue_and_orange(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a picture is clearly blue, and where clearly orange."""
    colours = picture.astype(int)
    return colours[..., 2] - colours[..., 0] > 90, colours[..., 0] - colours[..., 2] > 90


def test_the_bodys_left_is_blue_and_its_right_orange_in_thicker_lines_on_larger_pictures() -> None:
    counts = []
    for height, width in ((180, 320), (720, 1280)):
        picture = np.zeros((height, width, 3), np.uint8)
        draw_skeleton(picture, poses_of([standing(1, 640)]).landmarks[0, 0])
        blue, orange = blue_and_orange(picture)
        assert blue[:, width // 2 + 2 :].sum() > 100 and not blue[:, : width // 2 - 2].any(), "it faces the camera"
        assert orange[:, : width // 2 - 2].sum() > 100 and not orange[:, width // 2 + 2 :].any()
        counts.append(blue.sum() / height)
    assert counts[1] > 2 * counts[0]


def test_on_a_contact_sheet_the_subject_is_in_colours_and_others_are_grey() -> None:
    poses = poses_of([standing(50, 640, px_per_metre=300), standing(50, 1150, px_per_metre=100)])
    tiles = [small(time_s, np.zeros((720, 1280, 3), np.uint8)) for time_s in tile_times(2.0)]
    sheet = contact_sheet(tiles, poses, choose_subject(poses))
    picture = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert picture.shape == (3 * 180, 2 * 320, 3)
    for row in range(3):
        for column in range(2):
            tile = picture[180 * row : 180 * (row + 1), 320 * column : 320 * (column + 1)]
            blue, orange = blue_and_orange(tile)
            assert blue[:, 160:240].any() and orange[:, 80:160].any()
            assert not (blue | orange)[:, 262:].any() and tile[:150, 262:].max() > 80


def test_names_in_other_letters_lose_their_accents_and_what_cannot_be_written() -> None:
    assert ascii_of("naïve 右 forehand") == "naive  forehand"
    picture = np.full((360, 640, 3), 128, np.uint8)
    draw_corner(picture, "Übung 3")
    assert (picture != 128).any(-1)[:40, :200].mean() > 0.3 and (picture[60:] == 128).all()
