from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import pytest

from posellm_assets.generations.retraining import (
    Arrival,
    Busy,
    Freeze,
    Generation,
    RetrainingRule,
    Scope,
    Step,
    Tokenise,
    Train,
    TrainTokenizer,
    Wait,
    next_step,
)

DAY_S = 86_400.0
NOW_S = 1_000 * DAY_S
TEN = {"all": RetrainingRule(min_new_videos=10)}


def clips(count: int, sport: str = "tennis") -> list[str]:
    return [f"{sport}.clip.{number:08x}" for number in range(count)]


def decide(
    usable: Iterable[str],
    *,
    tokenised: Iterable[str] = (),
    in_snapshot: Iterable[str] = (),
    lineage: str | None = "vq-1",
    rules: dict[str, RetrainingRule] = TEN,
    **more: Any,
) -> Step:
    defaults: dict[str, Any] = {
        "scopes": {scope: Scope(set(in_snapshot)) for scope in rules},
        "arrival": lambda key: Arrival(minutes=0.5, since_s=NOW_S - DAY_S, split="train"),
        "now_s": NOW_S,
    }
    return next_step(usable=set(usable), tokenised=set(tokenised), lineage=lineage, rules=rules, **defaults | more)


def test_too_little_footage_starts_nothing_and_says_how_much_is_missing() -> None:
    assert decide(clips(9), lineage=None) == Wait("all: 9 new videos; a generation starts at 10 videos")


def test_the_first_footage_trains_a_tokenizer_then_tokens_then_a_generation() -> None:
    assert isinstance(decide(clips(10), lineage=None), TrainTokenizer)
    step = decide(clips(10))
    assert isinstance(step, Tokenise)
    assert len(step.keys) == 10
    assert isinstance(decide(clips(10), tokenised=clips(10)), Freeze)


def test_new_footage_is_tokenised_at_once_but_trained_only_when_there_is_enough() -> None:
    step = decide(clips(13), tokenised=clips(10), in_snapshot=clips(10))
    assert isinstance(step, Tokenise)
    assert len(step.keys) == 3
    assert isinstance(decide(clips(13), tokenised=clips(13), in_snapshot=clips(10)), Wait)
    step = decide(clips(20), tokenised=clips(20), in_snapshot=clips(10))
    assert isinstance(step, Freeze)
    assert len(step.keys) == 20, "a snapshot takes over the footage of the one before"


def test_footage_whose_file_is_gone_is_in_no_snapshot_to_come() -> None:
    left = clips(20)[3:]
    step = decide(left, tokenised=clips(20), in_snapshot=clips(7))
    assert isinstance(step, Freeze)
    assert step.keys == tuple(left)


def test_minutes_of_motion_start_a_generation_where_the_rule_says_so() -> None:
    rules = {"all": RetrainingRule(min_new_videos=None, min_new_minutes=2)}
    assert decide(clips(3), tokenised=clips(3), rules=rules) == Wait(
        "all: 3 new videos of 1.5 minutes; a generation starts at 2 minutes"
    )
    assert isinstance(decide(clips(4), tokenised=clips(4), rules=rules), Freeze)


def test_anything_new_waits_no_longer_than_the_days_of_the_rule() -> None:
    rules = {"all": RetrainingRule(min_new_videos=10, max_days=7)}

    def after(days: float) -> Step:
        def arrival(key: str) -> Arrival:
            return Arrival(minutes=1, since_s=NOW_S - days * DAY_S if key == clips(2)[1] else NOW_S, split="train")

        return decide(clips(3), tokenised=clips(3), in_snapshot=clips(1), rules=rules, arrival=arrival)

    wait = after(6)
    assert isinstance(wait, Wait)
    assert wait.until_s == NOW_S + DAY_S, "nothing has to be looked at again before"
    assert isinstance(after(7), Freeze)
    seen_all = decide(clips(3), tokenised=clips(3), in_snapshot=clips(3), rules=rules)
    assert isinstance(seen_all, Wait), "without anything new no number of days starts a generation"
    assert seen_all.until_s is None


def test_a_clock_that_was_set_back_makes_footage_wait_and_nothing_worse() -> None:
    rules = {"all": RetrainingRule(max_days=7)}
    step = decide(
        clips(3), tokenised=clips(3), rules=rules, arrival=lambda key: Arrival(1, NOW_S + 90 * DAY_S, "train")
    )
    assert isinstance(step, Wait)


def test_a_sport_with_a_rule_of_its_own_gets_generations_of_its_own() -> None:
    rules = {"all": RetrainingRule(min_new_videos=50), "yoga": RetrainingRule(min_new_videos=5)}
    everything = clips(20) + clips(5, "yoga")
    step = decide(everything, tokenised=everything, rules=rules)
    assert step == Freeze("yoga", tuple(clips(5, "yoga")), "yoga: 5 new videos")
    later = {"all": Scope(), "yoga": Scope(clips(5, "yoga"))}
    waits = decide(everything, tokenised=everything, rules=rules, scopes=later)
    assert isinstance(waits, Wait)
    assert "all: 25 new videos" in waits.reason
    assert "yoga: 0 new videos" in waits.reason


def test_a_snapshot_without_a_run_is_taken_up_before_anything_else() -> None:
    scopes = {"all": Scope(clips(10), Generation("all-0003", finished=False))}
    step = decide(clips(30), tokenised=clips(30), scopes=scopes)
    assert step == Train("all-0003", "all-0003 is frozen and has no run yet")


def test_a_failed_generation_is_retried_once_and_then_left_for_a_person_while_new_footage_goes_on() -> None:
    def after(failures: int, usable: int) -> Step:
        scopes = {"all": Scope(clips(10), Generation("all-0003", finished=False, failures=failures))}
        return decide(clips(usable), tokenised=clips(usable), scopes=scopes)

    step = after(1, 10)
    assert isinstance(step, Train)
    left = after(2, 10)
    assert isinstance(left, Wait)
    assert "all-0003 failed and is left for a person" in left.reason
    assert isinstance(after(2, 20), Freeze), "what failed does not stop what comes later"


def test_footage_of_test_participants_alone_does_not_start_a_generation() -> None:
    step = decide(clips(10), tokenised=clips(10), arrival=lambda key: Arrival(1, NOW_S, "test"))
    assert isinstance(step, Wait)
    assert "none of the 10 falls into the train split" in step.reason


def test_a_rule_without_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="starts nothing"):
        RetrainingRule(min_new_videos=None)
    assert str(RetrainingRule(min_new_videos=5, max_days=7)) == "5 videos or 7 days"


def test_days_are_told_as_dates() -> None:
    rules = {"all": RetrainingRule(max_days=7)}
    since = datetime(1972, 9, 20, 12, tzinfo=timezone.utc).timestamp()
    step = decide(
        clips(1), tokenised=clips(1), rules=rules, arrival=lambda key: Arrival(1, since, "train"), now_s=since
    )
    assert "the first since 1972-09-20" in step.reason


def test_footage_that_keeps_coming_in_does_not_keep_a_generation_from_beginning() -> None:
    step = decide(clips(16), tokenised=clips(12))
    assert isinstance(step, Freeze), "what has no tokens yet comes into the next one"
    assert step.keys == tuple(clips(12))
    step = decide(clips(40), tokenised=clips(12))
    assert isinstance(step, Tokenise), "where most of it has no tokens yet, it is worth waiting for"
    rounds, tokenised = 0, clips(0)
    while isinstance(decide(clips(len(tokenised) + 100), tokenised=tokenised), Tokenise):
        rounds, tokenised = rounds + 1, clips(len(tokenised) + 100)
    assert rounds == 1, "a hundred clips come in during every tokenising"


def test_only_a_training_of_the_same_scope_keeps_one_from_beginning() -> None:
    rules = {"all": RetrainingRule(min_new_videos=10), "yoga": RetrainingRule(min_new_videos=5)}
    everything = clips(20) + clips(5, "yoga")
    scopes = {"all": Scope(), "yoga": Scope()}
    in_all = decide(everything, tokenised=everything, rules=rules, scopes=scopes, busy=Busy(scopes={"all"}))
    assert isinstance(in_all, Freeze)
    assert in_all.scope == "yoga"
    in_yoga = decide(everything, tokenised=everything, rules=rules, scopes=scopes, busy=Busy(scopes={"yoga"}))
    assert isinstance(in_yoga, Freeze)
    assert in_yoga.scope == "all"
    both = decide(everything, tokenised=everything, rules=rules, scopes=scopes, busy=Busy(scopes={"all", "yoga"}))
    assert isinstance(both, Wait)
    assert "all: a generation is in training" in both.reason


def test_what_is_being_done_is_not_asked_for_twice() -> None:
    assert isinstance(decide(clips(10), lineage=None, busy=Busy(tokenizer=True)), Wait)
    waits = decide(clips(10), busy=Busy(tokenising=True))
    assert isinstance(waits, Wait)
    assert "10 videos are being tokenised" in waits.reason
    assert isinstance(decide(clips(10), tokenised=clips(10), busy=Busy(tokenising=True)), Freeze)


def test_a_generation_that_could_not_be_frozen_is_left_for_a_person() -> None:
    scopes = {"all": Scope(newest=Generation("all-0001", False, failures=2, runs=2, frozen=False))}
    step = decide(clips(10), tokenised=clips(10), scopes=scopes)
    assert isinstance(step, Wait)
    assert "all-0001 failed and is left for a person" in step.reason
