"""The motion classifier: what it learns from, and what it says of motions that it has not seen."""

from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.members.classifier import LabelledMotion, MotionClassifier
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion
from posellm_assets_tests.unit.texts.athletes import MOVEMENTS, athlete, wave


def raise_of(side: str, seed: int) -> Motion:
    angle = wave(3.0, 1.0 + 0.1 * seed, 10, 120 + 5 * seed)
    return athlete(3.0, size=0.9 + 0.05 * seed, noise_m=0.01, seed=seed, **{f"{side}_arm": angle})


def movements(seed: int) -> list[tuple[Motion, str]]:
    return [
        (move(3.0, 0.9 + 0.12 * seed, depth - 5 * seed, size=0.9 + 0.05 * seed, noise_m=0.01, seed=seed), name)
        for name, (move, depth) in MOVEMENTS.items()
    ]


def taught(seeds: range) -> MotionClassifier:
    examples = [LabelledMotion(motion, name, name) for seed in seeds for motion, name in movements(seed)]
    return MotionClassifier.fit(examples, sorted(MOVEMENTS))


def test_movements_of_unseen_people_and_tempos_are_named_and_the_loaded_classifier_says_the_same(
    tmp_path: Path,
) -> None:
    classifier = taught(range(4))
    unseen = [pair for seed in (5, 6) for pair in movements(seed)]
    said = classifier.opinions([motion for motion, _ in unseen])
    assert [opinion and opinion.action for opinion in said] == [name for _, name in unseen]
    classifier.save(tmp_path)
    again = MotionClassifier.load(tmp_path).opinions([motion for motion, _ in unseen])
    assert [one and one.log_probs for one in again] == [one and one.log_probs for one in said]


def test_one_side_teaches_the_other_where_the_mirror_image_has_a_class() -> None:
    examples = [LabelledMotion(raise_of("left", seed), "left raise", "right raise") for seed in range(3)]
    examples += [LabelledMotion(motion, "squat", "squat") for motion, name in movements(0) if name == "squat"]
    classifier = MotionClassifier.fit(examples, ["left raise", "right raise", "squat"])
    said = classifier.opinions([raise_of("right", 4), raise_of("left", 4)])
    assert [opinion and opinion.action for opinion in said] == ["right raise", "left raise"]


def test_a_motion_with_a_gap_is_judged_by_its_longest_stretch_and_nothing_is_said_of_none() -> None:
    classifier = taught(range(3))
    motion = movements(4)[0][0]
    motion.joints[5:8] = np.nan
    (judged,) = classifier.opinions([motion])
    (alone,) = classifier.opinions([motion.cut(8, len(motion))])
    assert judged is not None and alone is not None
    assert judged.log_probs == alone.log_probs
    motion.joints[::4] = np.nan
    assert classifier.opinions([motion, None]) == [None, None]


def test_one_class_and_another_skeleton_are_refused() -> None:
    motion, name = movements(0)[0]
    with pytest.raises(ValueError, match="fewer than two classes"):
        MotionClassifier.fit([LabelledMotion(motion, name, None)], [name])
    classifier = taught(range(2))
    classifier.joints = classifier.joints[:-1]
    with pytest.raises(ValueError, match="train a recogniser on such footage"):
        classifier.opinions([mirror(motion)])
