"""Calibration and the ensemble: confidences that mean something, members that weigh what they are worth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.actions.members.calibration import (
    calibration_error,
    coverage,
    fit_temperature,
    reliability,
)
from posellm_assets.actions.members.ensemble import Ensemble, spared, together
from posellm_assets.actions.members.opinions import Opinion, log_probabilities

CLASSES = ["clear", "drop", "smash"]


def opinion(member: str, **probabilities: float) -> Opinion:
    return Opinion(member, {name: math.log(value) for name, value in probabilities.items()}, 0.5)


def said(member: str, truth: list[str], accuracy: float, sureness: float, seed: int) -> list[Opinion]:
    """Opinions that are right in `accuracy` of the cases and always give the class they name that much `sureness`."""
    rng = np.random.default_rng(seed)
    opinions = []
    for class_id in truth:
        others = [name for name in CLASSES if name != class_id]
        named = class_id if rng.random() < accuracy else others[int(rng.integers(2))]
        scores = {name: math.log(sureness if name == named else (1 - sureness) / 2) for name in CLASSES}
        opinions.append(Opinion(member, log_probabilities(scores), 0.1))
    return opinions


TRUTH = [CLASSES[int(index)] for index in np.random.default_rng(0).integers(3, size=400)]


def test_a_member_that_claims_too_much_is_brought_down_to_how_often_it_is_right() -> None:
    boaster = said("boaster", TRUTH, accuracy=0.7, sureness=0.99, seed=1)
    temperature = fit_temperature(boaster, TRUTH)
    assert temperature > 2
    assert boaster[0].at_temperature(temperature).confidence == pytest.approx(0.7, abs=0.05)


def test_ten_right_answers_do_not_make_certainty() -> None:
    ten = said("lucky", TRUTH[:10], accuracy=1.0, sureness=0.8, seed=1)
    calibrated = ten[0].at_temperature(fit_temperature(ten, TRUTH[:10])).confidence
    assert 0.8 < calibrated < 0.995
    assert fit_temperature([], []) == 1.0


def test_calibration_error_is_the_gap_between_claim_and_truth() -> None:
    right = [True] * 6 + [False] * 4
    assert calibration_error([0.6] * 10, right) == pytest.approx(0.0)
    assert calibration_error([0.95] * 10, right) == pytest.approx(0.35)
    assert calibration_error([1.0, 0.05], [True, False]) == pytest.approx(0.025)
    (bar,) = reliability([0.95] * 10, right)
    assert (bar.clips, bar.accuracy) == (10, 0.6)


def test_accuracy_over_coverage_begins_with_the_surest_and_keeps_equals_together() -> None:
    assert coverage([0.9, 0.5, 0.5, 0.2], [True, False, True, False]) == [
        (0.25, 1.0),
        (0.75, pytest.approx(2 / 3)),
        (1.0, 0.5),
    ]


def test_the_better_member_weighs_more_and_the_ensemble_is_not_behind_it_on_other_clips() -> None:
    half = len(TRUTH) // 2
    good = said("good", TRUTH, accuracy=0.85, sureness=0.9, seed=1)
    poor = said("poor", TRUTH, accuracy=0.5, sureness=0.9, seed=2)
    ensemble = Ensemble.fit({"good": good[:half], "poor": poor[:half]}, TRUTH[:half])
    assert ensemble.weights["good"] > 2 * ensemble.weights["poor"]
    decided = [ensemble.decide(list(pair)) for pair in zip(good[half:], poor[half:], strict=True)]
    alone = np.mean([one.action == class_id for one, class_id in zip(good[half:], TRUTH[half:], strict=True)])
    together = np.mean([one and one.action == class_id for one, class_id in zip(decided, TRUTH[half:], strict=True)])
    assert together >= alone
    right = [one is not None and one.action == class_id for one, class_id in zip(decided, TRUTH[half:], strict=True)]
    assert calibration_error([one.confidence for one in decided if one], right) < 0.1


def right_share(ensemble: Ensemble, members: dict[str, list[Opinion]], truth: list[str]) -> float:
    decided = [ensemble.decide(list(row)) for row in zip(*members.values(), strict=True)]
    return float(np.mean([one is not None and one.action == name for one, name in zip(decided, truth, strict=True)]))


def test_ten_clips_are_enough_not_to_listen_to_a_poor_member_beside_a_good_one() -> None:
    members = {"good": said("good", TRUTH, 1.0, 0.6, seed=1), "poor": said("poor", TRUTH, 0.4, 0.95, seed=2)}
    ensemble = Ensemble.fit({name: opinions[:10] for name, opinions in members.items()}, TRUTH[:10])
    assert right_share(ensemble, members, TRUTH) == 1.0


def test_two_members_that_know_different_things_are_together_better_than_either() -> None:
    def knows(member: str, known: str) -> list[Opinion]:
        sure = {name: math.log(0.9 if name == known else 0.05) for name in CLASSES}
        return [Opinion(member, sure if name == known else dict.fromkeys(CLASSES, -math.log(3)), 0) for name in TRUTH]

    members = {"of clears": knows("of clears", "clear"), "of drops": knows("of drops", "drop")}
    ensemble = Ensemble.fit({name: opinions[:30] for name, opinions in members.items()}, TRUTH[:30])
    assert 0.2 < ensemble.weights["of clears"] < 0.8
    assert right_share(ensemble, members, TRUTH) > 0.6 > np.mean([name in ("clear",) for name in TRUTH])


def test_silence_is_held_against_nobody_and_a_member_without_weight_can_still_be_asked() -> None:
    good, poor = said("good", TRUTH, 0.9, 0.9, seed=1), said("poor", TRUTH, 0.4, 0.9, seed=2)
    spoken = Ensemble.fit({"good": good[:40], "poor": poor[:40]}, TRUTH[:40])
    silent = Ensemble.fit({"good": [*good[:40], *[None] * 360], "poor": poor}, TRUTH)
    assert silent.weights["good"] == pytest.approx(spoken.weights["good"], abs=0.02)
    sure = Ensemble.fit({"good": good[:40], "worthless": said("worthless", TRUTH[:40], 0.0, 0.98, 3)}, TRUTH[:40])
    alone = sure.decide([said("worthless", TRUTH[:1], 0.0, 0.98, 3)[0]])
    assert sure.weights["worthless"] < 1e-3 and alone and alone.member == "worthless"


def test_a_member_that_is_silent_on_a_clip_leaves_it_to_the_others_and_all_answers_are_kept() -> None:
    truth = TRUTH[:50]
    seeing, moving = said("vision", truth, 0.8, 0.8, 1), said("motion", truth, 0.8, 0.8, 2)
    ensemble = Ensemble.fit({"vision": [None] * 10 + seeing[10:], "motion": list(moving)}, truth)
    both = ensemble.decide([seeing[0], moving[0]])
    assert both and set(both.opinions) == {"vision", "motion"} and both.member == "ensemble"
    alone = ensemble.decide([moving[0]])
    assert alone and (alone.action, alone.member) == (moving[0].action, "motion")
    assert ensemble.decide([]) is None


def test_a_member_that_adds_nothing_is_spared_the_slowest_first_and_one_that_adds_is_not() -> None:
    truth = TRUTH[:60]
    good, poor = said("good", truth, 0.9, 0.9, seed=1), said("poor", truth, 0.4, 0.6, seed=2)
    assert set(spared({"good": good, "poor": poor}, truth)) == {"poor"}
    slow = [replace(one, member="slow", seconds=2.0) for one in good]
    gone = spared({"slow": slow, "good": good}, truth)
    assert set(gone) == {"slow"} and "60 validation clips" in gone["slow"] and "2000 ms a clip" in gone["slow"]
    # Each is sure of half of the clips and knows nothing of the others.
    halves = {
        name: [one if place % 2 == odd else opinion(name, clear=1 / 3, drop=1 / 3, smash=1 / 3)
               for place, one in enumerate(said(name, truth, 1.0, 0.95, odd))]
        for odd, name in enumerate(("even", "odd"))
    }  # fmt: skip
    assert spared(halves, truth) == {}
    assert spared({"good": good, "poor": poor}, []) == {} and spared({"poor": poor}, truth) == {}


def test_what_is_not_familiar_is_none_of_the_classes_and_a_sport_leaves_its_own_ones() -> None:
    ensemble = Ensemble(members=("motion",), temperatures={"motion": 1.0}, weights={"motion": 1.0})
    sure = opinion("motion", smash=0.9, clear=0.06, drop=0.04)
    answers = [ensemble.decide([sure], familiarity) for familiarity in (0.49, 0.5, None)]
    assert [one and (one.action, one.likeliest, one.confidence) for one in answers] == [
        ("none", "smash", pytest.approx(0.9)),
        ("smash", "smash", pytest.approx(0.9)),
        ("smash", "smash", pytest.approx(0.9)),
    ]
    assert sure.among(["clear", "drop"]).confidence == pytest.approx(0.6)
    assert sure.among(["serve"]) is sure


def test_windows_of_a_stretch_give_one_answer() -> None:
    ensemble = Ensemble(members=("motion",), temperatures={"motion": 1.0}, weights={"motion": 1.0})
    windows = [(opinion("motion", smash=p, clear=1 - p), known) for p, known in ((0.9, 0.8), (0.4, 0.9), (0.8, 0.1))]
    answers = [one for row, known in windows if (one := ensemble.decide([row], known))]
    whole = together(answers)
    assert (whole.action, whole.confidence, whole.familiarity) == ("smash", pytest.approx(0.7), 0.8)
    assert whole.opinions["motion"]["probabilities"] == {"smash": pytest.approx(0.7), "clear": pytest.approx(0.3)}
    assert whole.seconds == pytest.approx(1.5)
    assert together([answers[2], answers[2], answers[0]]).action == "none"


def test_the_threshold_rule_asks_one_member_after_the_other() -> None:
    ensemble = Ensemble(
        members=("vision", "motion"),
        temperatures={"vision": 1.0, "motion": 1.0},
        weights={"vision": 0.5, "motion": 0.5},
        rule="threshold",
        threshold=0.8,
    )
    motion = opinion("motion", smash=0.6, clear=0.4)
    sure = ensemble.decide([opinion("vision", clear=0.85, smash=0.15), motion])
    unsure = ensemble.decide([opinion("vision", clear=0.75, smash=0.25), motion])
    assert sure and (sure.action, sure.member, sure.confidence) == ("clear", "vision", 0.85)
    assert unsure and (unsure.action, unsure.member) == ("smash", "motion")
