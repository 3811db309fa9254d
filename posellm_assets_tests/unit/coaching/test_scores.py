"""Timed messages: matching by hand-worked cases, and figures that neither silence nor chatter can win."""

import itertools
import random

import pytest

from posellm_assets.coaching.streaming.scores import (
    Message,
    Session,
    chatter,
    manners,
    match_best,
    match_greedily,
    random_times,
    silence,
    timed_f,
)


def messages(*times: float, text: str = "knees out") -> tuple[Message, ...]:
    return tuple(Message(time, text) for time in times)


def test_greedy_matching_has_no_second_choice_and_the_best_matching_has() -> None:
    """References at 10 and 11 s, messages at 10.9 and 12.2 s: both references are nearest to the first message."""
    references, said = messages(10, 11), messages(10.9, 12.2)
    assert match_greedily(references, said) == [(0, 0)]
    assert match_best(references, said) == [(0, 0), (1, 1)]


def test_the_two_directions_of_the_published_score_may_disagree() -> None:
    """From the references: 10 takes 10.9, which 11 wants too, and 13.5 takes 12.2.

    From the messages: 10.9 takes 11, which 12.2 wants too, as it is nearer than 13.5.
    """
    session = Session(messages(10, 11, 13.5), messages(10.9, 12.2), 20)
    assert match_greedily(session.references, session.said) == [(0, 0), (2, 1)]
    assert match_greedily(session.said, session.references) == [(0, 1)]
    score = timed_f([session], match_greedily)
    assert (score.recall, score.precision) == (2 / 3, 1 / 2)
    assert score.f == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))


def test_the_tolerance_is_half_of_three_seconds_to_either_side_and_open() -> None:
    for match in (match_greedily, match_best):
        assert match(messages(10), messages(11.5)) == []
        assert match(messages(10), messages(8.5)) == []
        assert match(messages(10), messages(11.4999)) == [(0, 0)]
        assert match(messages(10), messages(8.5001)) == [(0, 0)]


def test_empty_messages_match_nothing_and_are_not_counted_as_said() -> None:
    session = Session(messages(10), messages(10, text=" "), 20)
    for match in (match_greedily, match_best):
        assert match(session.references, session.said) == []
        assert timed_f([session], match).said == 0


def test_the_best_matching_is_the_best_of_all() -> None:
    """Against every possible assignment, on small sessions drawn at random: most pairs, then least distance."""
    draw = random.Random(3)
    for _ in range(60):
        references = messages(*sorted(draw.uniform(0, 8) for _ in range(draw.randint(0, 4))))
        said = messages(*sorted(draw.uniform(0, 8) for _ in range(draw.randint(0, 4))))
        best = min(_quality(references, said, pairs) for pairs in _assignments(len(references), len(said)))
        found = _quality(references, said, match_best(references, said))
        assert found == pytest.approx(best)


def _assignments(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    return [
        list(zip(chosen, places, strict=True))
        for count in range(min(rows, columns) + 1)
        for chosen in itertools.combinations(range(rows), count)
        for places in itertools.permutations(range(columns), count)
    ]


def _quality(
    references: tuple[Message, ...], said: tuple[Message, ...], pairs: list[tuple[int, int]]
) -> tuple[int, float]:
    gaps = [abs(references[row].time_s - said[column].time_s) for row, column in pairs]
    return (0, 0.0) if any(gap >= 1.5 for gap in gaps) else (-len(gaps), sum(gaps))


def test_counts_are_summed_over_sessions_before_they_are_divided() -> None:
    one = Session(messages(10), messages(10), 60)
    other = Session(messages(10, 20, 30), (), 60)
    score = timed_f([one, other], match_best)
    assert (score.recall, score.precision) == (1 / 4, 1.0)
    assert score.f == pytest.approx(0.4)


def test_neither_silence_nor_chatter_nor_chance_reaches_a_coach_that_speaks_in_time() -> None:
    session = Session(messages(5, 22, 40), messages(5.5, 22.3, 41), 60)
    scores = [
        timed_f([variant], match_best).f
        for variant in (
            session,
            chatter(session, "well done"),
            random_times(session, ["well done"], per_minute=3, seed=1),
            silence(session),
        )
    ]
    assert scores[0] == 1.0 and scores[-1] == 0.0
    assert all(score < 0.5 for score in scores[1:])


def test_manners_count_delays_false_alarms_and_repetitions() -> None:
    said = (Message(5.5, "Knees out"), Message(10, "chest up"), Message(22, "knees  out"), Message(50, "depth"))
    found = manners([Session(messages(5, 23), said, 120)])
    assert found.messages_per_minute == 2.0
    assert found.false_alarms_per_minute == 1.0
    assert found.repetition_rate == 1 / 4
    assert found.median_delay_s == pytest.approx(-0.25)
    quiet = manners([Session(messages(5), (), 60)])
    assert quiet.repetition_rate is None and quiet.median_delay_s is None and quiet.false_alarms_per_minute == 0


def test_sessions_out_of_order_or_past_their_end_are_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        Session(messages(5, 4), (), 60)
    with pytest.raises(ValueError, match="the session 0 to 60 s"):
        Session((), messages(61), 60)
    with pytest.raises(ValueError, match="no time"):
        Session((), (), 0)
