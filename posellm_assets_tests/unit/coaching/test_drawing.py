import cv2
import numpy as np

from posellm_assets.coaching.labels.schema import FocusPoint, Vector, Visuals
from posellm_assets.coaching.live.annotating import SHOWN_S, annotated
from posellm_assets.coaching.live.drawing import draw_inset, draw_message, mark_joint, opened, small, still, wrapped
from posellm_assets.coaching.live.session import Moment, Remark
from posellm_assets.footage.video import Frame
from posellm_assets.poses.live import Sight

VISUALS = Visuals(
    overlay_type="ANGLE_CORRECTION",
    focus_point=FocusPoint(x=0.5, y=0.5),
    vectors=(
        Vector(start=(0.5, 0.5), end=(0.2, 0.5), color="#ff0000", label="Current"),
        Vector(start=(0.5, 0.5), end=(0.5, 0.9), color="#00ff00", label="Target"),
    ),
)


def grey(height: int = 360, width: int = 640) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_a_still_shows_where_the_limb_is_in_red_and_where_it_should_be_in_green() -> None:
    given = grey(200, 300)
    picture = opened(still(given, VISUALS)).astype(int)  # the part of 120 x 180 around the middle
    assert picture.shape == (120, 180, 3)
    assert np.abs(picture[60, 30] - [255, 0, 0]).max() < 60
    assert np.abs(picture[110, 90] - [0, 255, 0]).max() < 60
    assert (given == 128).all()


def test_words_are_wrapped_to_the_picture_and_none_is_lost() -> None:
    text = "Push your left knee out over the toes. It falls inward of the line from hip to ankle, naïvely said."
    lines = wrapped(text, 200, 0.5, 1)
    assert len(lines) > 3 and " ".join(lines) == text.replace("ï", "i")
    assert all(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0] <= 200 for line in lines)


def test_a_long_message_never_covers_more_than_the_bottom() -> None:
    picture = grey()
    draw_message(picture, "word " * 200)
    assert (picture[:250] == 128).all() and (picture[-10:] != 128).any()


def test_a_joint_of_both_sides_is_ringed_on_both() -> None:
    landmarks = np.zeros((33, 8), np.float32)
    landmarks[25, :2], landmarks[26, :2] = (0.25, 0.5), (0.75, 0.5)
    both, left = grey(), grey()
    mark_joint(both, landmarks, "knee", "both")
    mark_joint(left, landmarks, "knee", "left")
    for picture, sides in ((both, 2), (left, 1)):
        rings = (picture != 128).any(-1)
        assert (rings[150:210, 130:190].any(), rings[150:210, 450:510].any()) == (True, sides == 2)


def test_a_small_picture_stays_small_and_goes_into_the_corner() -> None:
    assert small(grey(720, 1280)).shape == (270, 480, 3) and small(grey(90, 160)).shape == (90, 160, 3)
    picture = grey()
    draw_inset(picture, np.zeros((202, 360, 3), np.uint8))
    black = (picture == 0).all(-1)
    assert black[:, 415:].any() and not black[:, :415].any() and not black[180:].any()


def test_a_remark_stays_for_a_while_or_until_the_next() -> None:
    frames = [Frame(float(time_s), grey()) for time_s in range(12)]
    said = {1: Remark(1.1, "first", 0.9), 3: Remark(3.1, "second", 2.9)}
    moments = [Moment(Sight(frame, None), None, 0, said.get(int(frame.time_s))) for frame in frames]
    pictures = dict(annotated(moments))
    written = [int(time_s) for time_s, picture in pictures.items() if (picture != 128).any()]
    assert written == [1, 2, 3, 4, 5, 6, 7] and SHOWN_S == 4.0
    assert (pictures[1.0] == pictures[2.0]).all() and (pictures[2.0] != pictures[3.0]).any()
    assert all((frame.rgb == 128).all() for frame in frames)
