"""The athlete itself: its bones, what the picture shows of it, and that it moves like a body."""

from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.demo.athlete import athlete
from posellm_assets.demo.footage import FPS, SIZE_PX, ClipPlan, exact_truth, plan, rendered_athlete
from posellm_assets.demo.movements import movements
from posellm_assets.demo.posing import pose
from posellm_assets.demo.scene import draw
from posellm_assets.demo.skeleton import HEEL, TOES, landmarks

BODY_JOINTS = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
NOTHING = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)


def one_clip_of_each_label(duration_s: float) -> list[ClipPlan]:
    return [replace(clip, duration_s=duration_s) for clip in {clip.label: clip for clip in plan()}.values()]


@pytest.mark.parametrize("clip", one_clip_of_each_label(4 / FPS), ids=str)
def test_the_figure_is_drawn_where_the_truth_says_it_is(clip: ClipPlan) -> None:
    figure = rendered_athlete(clip)
    image = exact_truth(clip, figure)["image"]
    for picture, joints in zip(draw(figure.mesh, figure.corners, clip.camera, NOTHING), image, strict=True):
        drawn = picture.any(-1)
        x, y = np.floor(joints[BODY_JOINTS]).astype(int).T
        assert drawn[y, x].all()
        rows, columns = np.nonzero(drawn)
        assert 0 < joints[:, 1].min() - rows.min() < 0.35 * SIZE_PX  # the crown of the head, or the racket
        assert 0 < rows.max() - joints[:, 1].max() < 12  # the soles
        assert columns.min() < joints[:, 0].min() and columns.max() > joints[:, 0].max()


def test_each_limb_has_its_colour_in_the_picture() -> None:
    clip = next(clip for clip in plan() if clip.label == "jumping jack" and not clip.athlete.look.long_sleeves)
    clip = replace(clip, duration_s=6 / FPS)
    figure = rendered_athlete(clip)
    image = exact_truth(clip, figure)["image"]
    forearms = image[:, [13, 14]] * 0.5 + image[:, [15, 16]] * 0.5
    chests = (image[:, [11, 12]].mean(1) * 0.65 + image[:, [23, 24]].mean(1) * 0.35)[:, None]
    pictures = draw(figure.mesh, figure.corners, clip.camera, NOTHING)
    for picture, forearm, chest in zip(pictures, forearms, chests, strict=True):
        for points, colour in ((forearm, clip.athlete.look.skin), (chest, clip.athlete.look.shirt)):
            for x, y in points.astype(int):
                seen, painted = picture[y, x].astype(float), np.array(colour)
                assert seen @ painted / np.linalg.norm(seen) / np.linalg.norm(painted) > 0.995


@pytest.mark.parametrize("clip", one_clip_of_each_label(2.0), ids=str)
def test_feet_stay_above_the_floor_and_hands_out_of_the_body(clip: ClipPlan) -> None:
    bones = rendered_athlete(clip).bones
    soles = np.stack([bones.at(f"{side}_foot", point)[:, 1] for side in "lr" for point in (HEEL, TOES)])
    assert soles.min() > -0.015
    chest = bones.at("chest", (0, 0.15, 0))
    for side in "lr":
        for bone in ("forearm", "hand"):
            assert np.linalg.norm(bones.at(f"{side}_{bone}") - chest, axis=1).min() > 0.10 * clip.athlete.body.girth


@pytest.mark.parametrize("movement", [m for m in movements() if not m.swinging_legs], ids=lambda m: m.name)
def test_standing_legs_reach_their_feet_without_stretching(movement) -> None:  # type: ignore[no-untyped-def]
    body = athlete(4).body
    bones = pose(body, movement.angles(np.linspace(0, 1, 60), 1.06, "right"))
    for side in "lr":
        hip, knee, ankle = (bones.at(f"{side}_{bone}") for bone in ("thigh", "shank", "foot"))
        assert np.allclose(np.linalg.norm(hip - knee, axis=1), body.thigh)
        assert np.allclose(np.linalg.norm(knee - ankle, axis=1), body.shank)


def test_a_movement_to_the_left_is_the_mirror_image_of_the_one_to_the_right() -> None:
    bend = next(movement for movement in movements() if movement.name == "side bend")
    body, phase = athlete(2).body, np.linspace(0, 1, 20)
    right, left = (landmarks(pose(body, bend.angles(phase, 1.0, side))) for side in ("right", "left"))
    shoulders = right[:, [12, 11]].mean(1)
    assert shoulders[:, 0].min() < -0.15  # to the right is towards -x
    assert np.allclose(left[:, 11:13] * [-1, 1, 1], right[:, [12, 11]], atol=1e-9)


def test_an_athlete_is_the_same_person_in_every_plan_and_no_other_athlete() -> None:
    assert athlete(7) == athlete(7)
    assert len({athlete(number).body for number in range(1, 21)}) == 20
    with pytest.raises(ValueError, match="numbered from 0"):
        athlete(-1)


def test_a_joint_behind_the_body_is_not_visible_and_one_in_front_is() -> None:
    clip = replace(next(clip for clip in plan() if clip.label == "run"), duration_s=1.0)
    visible = exact_truth(clip, rendered_athlete(clip))["visible"]
    near, far = (14, 13) if clip.movement.facing(clip.side) > 0 else (13, 14)
    assert visible[:, near].mean() > visible[:, far].mean()
    assert visible[:, 0].all()
