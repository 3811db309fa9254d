"""Rules while somebody moves, on clips whose faults are known."""

from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import FeedbackPoint, MeasuredValue, Visuals
from posellm_assets.coaching.live.measured import MeasuredRepetition
from posellm_assets.coaching.live.rules import Counted, LiveRules, RuleVoice
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.footage.video import Frame
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.live import LatestPoses, Sight
from posellm_assets_tests.coaching_clips import DEEP, measured, raised

BLACK = np.zeros((8, 8, 3), np.uint8)
CLEAN = DemoRepetition()


def lived(
    clip: MeasuredClip, rules: LiveRules, until_s: float = np.inf, over: bool = False
) -> list[tuple[float, Counted]]:
    """(time, repetition) as each is counted, a frame at a time; `over` says in the end that nothing follows."""
    latest, found = LatestPoses(20.0), []
    subject = clip.subject
    values = np.concatenate(
        [subject.landmarks, subject.visibility[..., None], subject.presence[..., None], subject.world], axis=-1
    )
    for time_s, landmarks in zip(subject.time_s.tolist(), values, strict=True):
        if time_s < until_s:
            latest.add(Sight(Frame(time_s, BLACK), landmarks))
            found += [(time_s, one) for one in rules.watch(latest, time_s)]
    if over:
        found += [(time_s, one) for one in rules.watch(latest, time_s, over=True)]
    return found


@pytest.mark.parametrize(
    ("name", "fault", "side"),
    [("squat", DEEP, "both"), ("jumping jack", DemoRepetition("asymmetric arms", "left"), "left")],
)
def test_repetitions_are_counted_and_judged_soon_after_they_end(name: str, fault: DemoRepetition, side: str) -> None:
    clip = measured(name, (CLEAN, fault, CLEAN, CLEAN))
    live = lived(clip, LiveRules(name, None, MotionConfig()))
    rules = rules_of(name)
    assert rules is not None
    whole = repetitions_of(clip, rules)
    assert [one.number for _, one in live] == [1, 2, 3, 4][: len(live)] and len(live) >= 3
    for (time_s, one), known in zip(live, whole, strict=False):
        assert abs(one.peak_s - known.peak_s) <= 0.1 and abs(one.end_s - known.end_s) <= 0.2
        heard = one if one.number > 1 else live[1][1]  # the first repetition waits for the second
        assert 0.3 <= time_s - heard.end_s < 0.7
    assert [[(point.fault, point.side) for point in one.points] for _, one in live] == [
        [(fault.fault, side)] if one.number == 2 else [] for _, one in live
    ]


@pytest.mark.parametrize(
    ("arms", "count"),
    [(("left",) * 5, 5), (("both",) * 5, 5), (("left",) * 5 + ("right",) * 5, 10), (("left", "right") * 4, 4)],
)
def test_arm_raises_are_counted_live_whichever_arms_rise(arms: tuple[str, ...], count: int) -> None:
    live = lived(raised(*arms), LiveRules("arm raise", None, MotionConfig()), over=True)
    assert [one.number for _, one in live] == list(range(1, count + 1))
    assert not [point for _, one in live for point in one.points]


def test_a_first_repetition_is_shown_as_soon_as_it_is_over_though_it_waits_to_be_judged() -> None:
    clip = measured("squat", (CLEAN, CLEAN))
    first, second = repetitions_of(clip, rules_of("squat"))  # type: ignore[arg-type]
    rules = LiveRules("squat", None, MotionConfig())
    assert lived(clip, rules, until_s=(first.end_s + second.peak_s) / 2 + 0.3) == []
    assert (rules.waiting, len(rules.counted)) == (1, 0)
    lived(clip, rules, over=True)
    assert (rules.waiting, len(rules.counted)) == (0, 2)


def test_the_last_repetition_counts_when_the_session_ends_and_none_counts_twice() -> None:
    clip = measured("squat", (CLEAN, CLEAN, CLEAN))
    soon_s = repetitions_of(clip, rules_of("squat"))[-1].end_s + 0.25  # type: ignore[arg-type]
    rules = LiveRules("squat", None, MotionConfig())
    assert len(lived(clip, rules, until_s=soon_s)) == 2
    lived(clip, rules, over=True)
    assert [one.number for one in rules.counted] == [1, 2, 3]


def test_a_repetition_that_ends_out_of_view_is_not_counted() -> None:
    clip = measured("squat", (CLEAN, CLEAN, CLEAN))
    whole = repetitions_of(clip, rules_of("squat"))  # type: ignore[arg-type]
    landmarks, world = clip.subject.landmarks.copy(), clip.subject.world.copy()
    landmarks[clip.subject.time_s > whole[2].peak_s + 0.3] = np.nan
    world[clip.subject.time_s > whole[2].peak_s + 0.3] = np.nan
    rules = LiveRules("squat", None, MotionConfig())
    leaves = replace(clip, subject=replace(clip.subject, landmarks=landmarks, world=world))
    assert [one.number for _, one in lived(leaves, rules)] == [1, 2]


def test_a_fidget_before_the_exercise_is_no_repetition() -> None:
    small = DemoRepetition("truncated range", strength=1.5)
    live = lived(
        measured("jumping jack", (small, CLEAN, CLEAN, CLEAN)), LiveRules("jumping jack", None, MotionConfig())
    )
    assert len(live) >= 2
    assert all(not one.points for _, one in live)


def test_an_exercise_is_believed_when_it_was_named_twice_in_a_row_and_left_when_another_was() -> None:
    names = iter(
        ["jumping-jack", "squats", "serve", "squats", None, "serve", "serve", "squats", "Squats", *["serve"] * 9]
    )
    asked: list[str | None] = []

    def name(motion: Motion) -> str | None:
        assert len(motion) >= motion.fps
        asked.append(next(names))
        return asked[-1]

    rules = LiveRules(None, name, MotionConfig())
    live = lived(measured("squat", (CLEAN,) * 7), rules)
    known_s = min(time_s for time_s, _ in live)
    assert asked[7:9] == ["squats", "Squats"] and known_s > 8
    assert {one.exercise for one in rules.counted} == {"squat"}
    assert rules.exercise is None and not rules.is_lost, "serve is known, and has no rules"


def test_what_cannot_be_told_counts_nothing_and_is_asked_about_after_a_while() -> None:
    squats = measured("squat", (CLEAN, CLEAN, CLEAN, CLEAN, CLEAN))
    unknown = LiveRules(None, lambda motion: None, MotionConfig())
    assert not lived(squats, unknown, until_s=6) and unknown.is_lost and not unknown.asks
    assert not lived(squats, unknown) and unknown.asks
    # Squats, and then something else: the squats that were counted stay, and no more is said.
    names = iter(["squat"] * 5 + [None] * 20)
    left = LiveRules(None, lambda motion: next(names), MotionConfig())
    lived(squats, left)
    assert left.counted and max(one.end_s for one in left.counted) < 8 and left.exercise is None and left.is_lost


def counted(*faults: tuple[str, str]) -> list[Counted]:
    points = [
        FeedbackPoint(
            mistake_timestamp_ms=500,
            coaching_script=said,
            severity="major",
            visuals=Visuals(overlay_type="POINT_HIGHLIGHT"),
            fault=fault,
            joint="knee",
            side="both",
            measured=MeasuredValue(quantity="hip_drop", value=0.1, unit="share", target=0.3),
        )
        for fault, said in faults
    ]
    measured = MeasuredRepetition(
        quantity="hip_drop", unit="share", value=0.5, there_s=0.5, back_s=0.5, angles=(), curves={}
    )
    return [Counted("squat", 1, 0.0, 0.5, 1.0, tuple(points), (), measured)]


def test_the_coach_says_the_worst_first_waits_and_does_not_repeat_itself() -> None:
    voice = RuleVoice()
    both = counted(("shallow", "Deeper."), ("knee valgus", "Knees out."))
    said = [(now_s, voice.say(both, now_s)) for now_s in (1.0, 3.0, 4.5, 8.0, 13.5, 17.0)]
    assert [(now_s, words[0]) for now_s, words in said if words] == [
        (1.0, "Deeper."),
        (4.5, "Knees out."),
        (13.5, "Deeper."),
        (17.0, "Knees out."),
    ]


def test_three_clean_repetitions_are_praised_and_not_every_time() -> None:
    voice, clean, faulty = RuleVoice(), counted(), counted(("shallow", "Deeper."))
    assert voice.say(clean, 1.0) is None and voice.say(faulty, 2.0) is not None
    assert [voice.say(clean, now_s) is not None for now_s in (6, 7, 8, 9, 10, 29)] == [False, False, True] + [
        False
    ] * 2 + [True]
