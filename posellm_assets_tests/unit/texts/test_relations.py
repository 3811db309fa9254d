from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.describe import describe
from posellm_assets.texts.fact import Fact
from posellm_assets.texts.facts import measure
from posellm_assets.texts.relations import holding, known_relations, relation_facts
from posellm_assets.texts.wording import words
from posellm_assets_tests.unit.texts.athletes import FPS, arm_raise, athlete, march, squat, wave

LENGTH_M = 0.52 + 0.43 + 0.41


def told(motion: Motion) -> dict[tuple[str, str | None], Fact]:
    return {(f"{fact.joint}_{fact.kind}_{fact.other}", fact.side): fact for fact in relation_facts(motion)}


def moved(motion: Motion, joint: str, to: np.ndarray) -> Motion:
    """`motion` with a joint at `to`, (T, 3) or (3,), relative to the pelvis."""
    joints = motion.joints.copy()
    joints[:, BODY.index(joint)] = joints[:, BODY.index("pelvis")] + to
    return replace(motion, joints=joints)


def deep_squat(depth: float) -> Motion:
    thigh = wave(8.0, 2.0, 0, depth)
    return athlete(8.0, left_thigh=thigh, right_thigh=thigh, left_knee=thigh * 1.2, right_knee=thigh * 1.2)


def test_somebody_who_stands_with_hanging_arms_does_nothing_with_them():
    assert told(athlete(6.0)) == {}
    assert told(athlete(6.0, noise_m=0.02)) == {}


def test_a_deep_squat_is_told_from_one_to_parallel():
    deep = told(deep_squat(120.0))["hip_below_knee", "both"]
    # The knee is thigh * sin(30 degrees) over the hip at the turning point; smoothing takes a little off.
    assert deep.value == pytest.approx(0.43 * np.sin(np.radians(30)) / LENGTH_M, abs=0.02)
    assert deep.times == 4
    assert ("hip_below_knee", "both") not in told(deep_squat(92.0))


def test_a_relation_points_at_the_frames_where_it_holds():
    motion = deep_squat(120.0)
    fact = told(motion)["hip_below_knee", "both"]
    hips, knees = BODY.index("left_hip"), BODY.index("left_knee")
    under = (motion.joints[:, knees, 1] - motion.joints[:, hips, 1]) / LENGTH_M
    first, last = round(fact.start_s * FPS), round(fact.end_s * FPS)
    assert under[first : last + 1].min() > 0.04 and under[first : last + 1].max() == pytest.approx(fact.value, abs=0.02)
    assert under[first - 4] < 0.06 and under[last + 4] < 0.06


def test_a_knee_over_the_hip_is_told_with_its_side():
    assert {key for key in told(march(8.0, 2.0, 130.0)) if key[0].startswith("knee")} == {
        ("knee_above_hip", "left"), ("knee_above_hip", "right")
    }  # fmt: skip
    high_knee = athlete(6.0, left_thigh=wave(6.0, 2.0, 0, 125), left_knee=wave(6.0, 2.0, 0, 110))
    assert {key for key in told(high_knee) if key[0] != "ankle_ahead_ankle"} == {("knee_above_hip", "left")}


@pytest.mark.parametrize(
    ("joint", "place", "name"),
    [
        ("wrist", (0.12, 0.62, 0.05), "wrist_near_head"),
        ("wrist", (0.14, -0.40, 0.08), "wrist_near_knee"),
        ("wrist", (0.14, -0.78, 0.08), "wrist_near_ankle"),
    ],
)
def test_a_hand_at_a_part_of_the_body_is_close_to_it_and_to_no_other(joint: str, place: tuple, name: str):
    motion = moved(athlete(6.0), f"left_{joint}", np.array(place))
    assert {key for key in told(motion) if "near" in key[0]} == {(name, "left")}
    assert told(mirror(motion))[name, "right"].value == pytest.approx(told(motion)[name, "left"].value, abs=0.01)


def test_hands_on_the_hips_are_told_and_hands_that_hang_beside_them_are_not():
    standing = athlete(6.0)
    on_hips = moved(standing, "left_wrist", np.array([0.18, 0.02, 0.03]))
    on_hips = moved(on_hips, "left_elbow", np.array([0.40, 0.22, -0.05]))
    on_hips = moved(on_hips, "right_wrist", np.array([-0.18, 0.02, 0.03]))
    on_hips = moved(on_hips, "right_elbow", np.array([-0.40, 0.22, -0.05]))
    assert set(told(on_hips)) == {("wrist_near_hip", "both")}


def test_claps_are_counted_and_hands_apart_are_not_close():
    apart = np.zeros((round(8.0 * FPS), 3))
    apart[:, 0], apart[:, 1], apart[:, 2] = wave(8.0, 2.0, 0.4, 0.02), 0.4, 0.35
    clapping = moved(moved(athlete(8.0), "left_wrist", apart), "right_wrist", apart * [-1, 1, 1])
    assert told(clapping)["wrist_near_wrist", "both"].times == 4
    apart[:, 0] = wave(8.0, 2.0, 0.4, 0.15)
    assert not told(moved(moved(athlete(8.0), "left_wrist", apart), "right_wrist", apart * [-1, 1, 1]))


def straddle(feet: np.ndarray, axis: int) -> Motion:
    """Feet that are `feet` metres apart along an axis: 0 to the sides, 2 to the front and the back."""
    place = np.zeros((len(feet), 3))
    place[:, 1], place[:, axis] = -0.8, feet / 2
    place[:, 0] += 0.1 * (axis == 2)
    other = place * [-1, 1, -1]
    return moved(moved(athlete(8.0), "left_ankle", place), "right_ankle", other)


def test_feet_apart_and_feet_one_before_the_other_are_two_things():
    feet = wave(8.0, 2.0, 0.2, 1.0)
    apart = told(straddle(feet, axis=0))
    assert set(apart) == {("ankle_beside_ankle", "both")}
    assert apart["ankle_beside_ankle", "both"].times == 4
    assert set(told(straddle(feet, axis=2))) == {("ankle_ahead_ankle", "both")}


@pytest.mark.parametrize(("axis", "turned_rad"), [(0, np.pi / 2), (2, 0.0)])
def test_what_lies_in_the_depth_of_one_camera_is_not_told(axis: int, turned_rad: float):
    motion = straddle(wave(8.0, 2.0, 0.2, 1.0), axis)
    seen_along = replace(motion, parameters={"turned_rad": turned_rad})
    seen_across = replace(motion, parameters={"turned_rad": np.pi / 2 - turned_rad})
    assert told(seen_along) == {} and len(told(seen_across)) == 1


def test_a_touch_of_a_few_frames_and_jitter_around_a_threshold_are_not_counted():
    values = np.zeros(100)
    values[20:23] = 1.0
    assert holding(values, threshold=0.5, fps=FPS) is None
    values[40:60] = 0.52 + 0.03 * (-1.0) ** np.arange(20)
    spell = holding(values, threshold=0.5, fps=FPS)
    assert spell is not None and spell.times == 1 and 40 <= spell.start <= spell.end <= 59


def test_a_relation_with_a_gap_in_it_is_counted_once_because_nobody_saw_it_end():
    values = np.full(100, 0.6)
    values[40:60] = np.nan
    spell = holding(values, threshold=0.5, fps=FPS)
    assert spell is not None and (spell.times, spell.end - spell.start) == (1, 39)
    values[48:52] = 0.0
    assert holding(values, threshold=0.5, fps=FPS).times == 2  # type: ignore[union-attr]


def test_a_skeleton_that_lacks_joints_gives_the_relations_of_the_others():
    motion = arm_raise(6.0, 1.5, 175.0)
    keep = [i for i, name in enumerate(BODY.joints) if name not in ("head", "nose", "left_toe", "right_toe")]
    names = [BODY.joints[i] for i in keep]
    parents = tuple(
        -1 if name == "pelvis" else names.index(BODY.joints[BODY.parents[BODY.index(name)]]) for name in names
    )
    at = names.index
    headless = replace(
        BODY,
        joints=tuple(names),
        parents=parents,
        mirror_pairs=(),
        hips=(at("left_hip"), at("right_hip")),
        shoulders=(at("left_shoulder"), at("right_shoulder")),
        feet=(at("left_ankle"), at("right_ankle")),
    )
    facts = told(replace(motion, joints=motion.joints[:, keep], guessed=motion.guessed[:, keep], skeleton=headless))
    assert set(facts) == {("wrist_above_shoulder", "both")}


def test_every_relation_has_a_reason_and_words_in_every_language():
    for relation in known_relations().relations:
        assert len(relation.why) > 20
        sides = {"both"} if relation.sides != "each" else {"left", "right", "both"}
        assert all(set(words(language)["relations"][relation.name]) == sides for language in LANGUAGES), relation.name


def test_sides_that_do_the_same_are_said_to_and_by_how_much_they_differ():
    facts = measure(squat(8.0, 2.0, 90.0))
    (knees,) = [fact for fact in facts if fact.kind == "symmetry" and fact.joint == "knee"]
    assert knees.value == 0.0
    bend = wave(8.0, 2.0, 0, 90)
    facts = measure(athlete(8.0, left_knee=bend, right_knee=bend * 0.5))
    (uneven,) = [fact for fact in facts if fact.kind in ("symmetry", "asymmetry")]
    assert (uneven.kind, uneven.side) == ("asymmetry", "left") and uneven.value == pytest.approx(45, abs=3)
    assert "The left knee moves 45 degrees further than the other." in describe([uneven])


def test_sides_are_not_compared_where_one_of_them_is_hidden():
    seen_from_the_side = replace(squat(8.0, 2.0, 90.0), parameters={"turned_rad": np.pi / 2})
    assert not [fact for fact in measure(seen_from_the_side) if fact.kind in ("symmetry", "asymmetry")]


def lagging(shift: float, **how) -> Motion:
    knee, arm = wave(10.0, 2.0, 0, 90), wave(10.0, 2.0, 0, 120, phase=-shift)
    return athlete(10.0, left_knee=knee, right_knee=knee, left_arm=arm, right_arm=arm, **how)


def test_the_joint_that_moves_first_in_every_repetition_is_told_with_its_lead():
    (order,) = [fact for fact in measure(lagging(0.2)) if fact.kind == "order"]
    assert (order.joint, order.other) == ("knee", "shoulder") and order.value == pytest.approx(0.4, abs=0.06)
    (order,) = [fact for fact in measure(lagging(-0.2)) if fact.kind == "order"]
    assert (order.joint, order.other) == ("shoulder", "knee")


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.5])
def test_joints_that_move_together_or_in_opposite_phase_have_no_order(shift: float):
    assert not [fact for fact in measure(lagging(shift, noise_m=0.005)) if fact.kind == "order"]


def test_two_movements_done_once_are_told_in_their_order():
    def step(at: int) -> np.ndarray:
        return np.concatenate([np.zeros(at), np.linspace(0, 120, 10), np.full(90 - at, 120.0)])

    facts = measure(athlete(5.0, left_arm=step(20), right_knee=step(40)))
    (order,) = [fact for fact in facts if fact.kind == "order"]
    assert order.value == pytest.approx(1.0, abs=0.06)
    assert "First the left arm rises, and 1.0 s later the right knee bends." in describe(facts)
