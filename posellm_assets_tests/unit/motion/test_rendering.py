import json
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from posellm_assets.motion.rendering import PANEL, motion_to_json, render_gif, render_video, strip
from posellm_assets.motion.skeletons import BODY
from posellm_assets_tests.unit.motion.people import STANDING, moving_person, random_motion
from posellm_assets_tests.unit.motion.test_motion import PUPPET


def pictures(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt, float(stream.average_rate)) == ("h264", "yuv420p", 20.0)
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]


def coloured(picture, panel):
    """How many pixels of a panel are clearly orange and clearly blue."""
    part = picture[:, panel * PANEL : (panel + 1) * PANEL]
    redness = part[..., 0] - part[..., 2]
    return (redness > 40).sum(), (redness < -40).sum()


def test_the_bodys_left_is_blue_and_its_right_orange(tmp_path):
    motion = random_motion(3, BODY, 0)
    motion.joints[:] = STANDING
    motion.joints[:, BODY.index("left_wrist")] = (0.9, 1.5, 0)
    motion.joints[:, BODY.index("right_wrist")] = (-0.3, 1.2, 0)
    render_video([motion], tmp_path / "a.mp4", ["left arm out"])
    part = pictures(tmp_path / "a.mp4")[1]
    blue, orange = (np.argwhere(part[..., a] - part[..., b] > 40)[:, 1] for a, b in ((2, 0), (0, 2)))
    assert blue.max() > orange.max() + 30, "a figure that faces the camera has its left on the right of the picture"


@pytest.mark.parametrize("axis", [0, 2])
def test_a_movement_is_seen_from_where_it_shows(tmp_path, axis):
    """An arm that swings by a metre, sideways or forwards, crosses much of its panel."""
    motion = random_motion(2, BODY, 0)
    motion.joints[:] = STANDING
    for frame, side in enumerate((-0.5, 0.5)):
        motion.joints[frame, BODY.index("left_wrist")] = (0, 1.2, 0)
        motion.joints[frame, BODY.index("left_wrist"), axis] = side
    render_video([motion], tmp_path / "a.mp4", ["swing"])
    ends = [np.argwhere(part[..., 2] - part[..., 0] > 40)[:, 1] for part in pictures(tmp_path / "a.mp4")]
    assert max(abs(ends[1].max() - ends[0].max()), abs(ends[1].min() - ends[0].min())) > 0.15 * PANEL


def test_motions_stand_side_by_side_with_blue_left_and_orange_right(tmp_path):
    render_video([moving_person(20), moving_person(30)], tmp_path / "a.mp4", ["real", "made"])
    shown = pictures(tmp_path / "a.mp4")
    assert len(shown) == 30
    assert shown[0].shape[1] == 2 * PANEL
    for panel in (0, 1):
        orange, blue = coloured(shown[10], panel)
        assert orange > 300 and blue > 300


def test_a_motion_that_is_over_waits_faded(tmp_path):
    render_video([moving_person(10), moving_person(30)], tmp_path / "a.mp4", ["short", "long"])
    last = pictures(tmp_path / "a.mp4")[-1]
    assert sum(coloured(last, 0)) < sum(coloured(last, 1))
    part = last[:, :PANEL]
    assert (part[..., 0] - part[..., 2] > 15).sum() > 100


def test_where_nobody_was_seen_only_the_floor_is_shown(tmp_path):
    motion = moving_person(20)
    motion.joints[8:12] = np.nan
    render_video([motion], tmp_path / "a.mp4", ["gap"])
    shown = pictures(tmp_path / "a.mp4")
    assert sum(coloured(shown[10], 0)) < 20
    assert sum(coloured(shown[2], 0)) > 500


def test_a_figure_stays_in_the_picture_however_far_it_walks(tmp_path):
    motion = moving_person(20, walks=False)
    motion.joints[..., 2] += np.linspace(0, 30, 20, dtype=np.float32)[:, None]
    render_video([motion], tmp_path / "a.mp4", ["far"])
    shown = pictures(tmp_path / "a.mp4")
    assert sum(coloured(shown[-1], 0)) > 0.5 * sum(coloured(shown[0], 0))


def test_the_same_motion_gives_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        render_video([moving_person(12)], tmp_path / name, ["Übung · 1"])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_gif_shows_the_same_in_the_same_time(tmp_path):
    motions = [replace(moving_person(15), fps=30.0), replace(moving_person(9), fps=30.0)]
    render_gif(motions, tmp_path / "a.gif", ["real", "made"])
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.width, picture.n_frames) == (2 * PANEL, 15)
        durations_ms = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            durations_ms.append(picture.info["duration"])
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert sum(durations_ms) == 500
    assert min(coloured(shown, 0)) > 300


def test_any_skeleton_can_be_drawn(tmp_path):
    render_video([random_motion(5, PUPPET, 0)], tmp_path / "a.mp4", [""])
    assert len(pictures(tmp_path / "a.mp4")) == 5


def test_nothing_to_draw_leaves_no_file(tmp_path):
    empty = moving_person(5)
    empty.joints[:] = np.nan
    with pytest.raises(ValueError, match="nothing to render"):
        render_video([empty], tmp_path / "a.mp4", ["nobody"])
    with pytest.raises(ValueError, match="a title each"):
        render_video([moving_person(5)], tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_a_page_gets_joints_in_millimetre_steps_and_null_in_gaps():
    motion = moving_person(6)
    motion.joints[2] = np.nan
    page = json.loads(json.dumps(motion_to_json(motion), allow_nan=False))
    assert (page["fps"], page["parents"]) == (20.0, list(BODY.parents))
    assert page["joints"][2] is None
    np.testing.assert_allclose(page["joints"][5], motion.joints[5], atol=0.00051)
    assert page["sides"][BODY.index("left_knee")] == "left"
    assert page["sides"][BODY.index("pelvis")] == "middle"


def test_a_strip_shows_six_known_moments_with_their_times():
    motion = moving_person(60)
    motion.joints[:30] = np.nan
    shown = cv2.imdecode(np.frombuffer(jpeg := strip(motion), np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert shown.shape[1] == 960 and len(jpeg) < 60_000
    for place in range(6):
        part = shown[:, place * 160 : (place + 1) * 160]
        assert (part[..., 0] - part[..., 2] > 40).sum() > 30, "an orange right side, though nobody was seen at first"
    motion.joints[:] = np.nan
    with pytest.raises(ValueError, match="nothing to render"):
        strip(motion)
