"""How well messages come at the right time: a coach's messages against the feedback that was given to a session.

The T-F-Score of QEVD (Panchal et al. 2024) as it was published, and beside it one with the best matching instead of a
greedy one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE_S = 3.0
"""A message fits a reference that is less than half of this away, to either side."""

Matching = Callable[[Sequence["Message"], Sequence["Message"], float], list[tuple[int, int]]]


@dataclass(frozen=True)
class Message:
    """Something said at a time, in seconds from the beginning of the session."""

    time_s: float
    text: str


@dataclass(frozen=True)
class Session:
    """What was said and what should have been said, each in the order of time."""

    references: tuple[Message, ...]
    said: tuple[Message, ...]
    duration_s: float

    def __post_init__(self) -> None:
        if not self.duration_s > 0:
            raise ValueError(f"a session of {self.duration_s} s has no time in which to speak")
        for name, messages in (("references", self.references), ("said", self.said)):
            times = [message.time_s for message in messages]
            if times != sorted(times):
                raise ValueError(f"the {name} of a session must be in the order of time, got {times}")
            if times and not 0 <= times[0] <= times[-1] <= self.duration_s:
                raise ValueError(f"the {name} span {times[0]} to {times[-1]} s, the session 0 to {self.duration_s} s")


@dataclass(frozen=True)
class TimedF:
    """T-F-Score with its parts, over all sessions together; a share of nothing is 0."""

    f: float
    precision: float
    recall: float
    said: int
    references: int


def match_greedily(
    references: Sequence[Message], said: Sequence[Message], tolerance_s: float = TOLERANCE_S
) -> list[tuple[int, int]]:
    """Pairs (reference, message) as the published T-F-Score matches them.

    Each reference takes the message that is nearest to it and has no second choice: it stays alone where that message
    is too far, empty, or not later than the last one that was matched.
    """
    pairs: list[tuple[int, int]] = []
    last = -1
    for index, reference in enumerate(references):
        if not said:
            break
        nearest = min(range(len(said)), key=lambda place: abs(said[place].time_s - reference.time_s))
        close = abs(said[nearest].time_s - reference.time_s) < tolerance_s / 2
        if close and nearest > last and said[nearest].text.strip():
            pairs.append((index, nearest))
            last = nearest
    return pairs


def match_best(
    references: Sequence[Message], said: Sequence[Message], tolerance_s: float = TOLERANCE_S
) -> list[tuple[int, int]]:
    """As many pairs (reference, message) as there can be, each at most once; of equally many, the nearest in time."""
    from scipy.optimize import linear_sum_assignment  # here, because the code server starts without SciPy

    if not references or not said:
        return []
    gaps_s = np.abs(
        np.array([one.time_s for one in references])[:, None] - np.array([one.time_s for one in said])[None, :]
    )
    fits = (gaps_s < tolerance_s / 2) & np.array([bool(one.text.strip()) for one in said])[None, :]
    # One more pair is worth more than all gaps together.
    worth = tolerance_s * (min(gaps_s.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(fits, gaps_s - worth, 0.0))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if fits[row, column]]


def timed_f(sessions: Iterable[Session], match: Matching, tolerance_s: float = TOLERANCE_S) -> TimedF:
    """T-F-Score: recall by matching references to messages, precision by matching messages to references.

    Counts are summed over the sessions before anything is divided. With `match_greedily` this is the published score,
    whose two directions may count different pairs; with `match_best` both count the same.
    """
    found = right = said = references = 0
    for session in sessions:
        spoken = tuple(message for message in session.said if message.text.strip())
        found += len(match(session.references, spoken, tolerance_s))
        right += len(match(spoken, session.references, tolerance_s))
        said += len(spoken)
        references += len(session.references)
    precision, recall = right / max(said, 1), found / max(references, 1)
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return TimedF(f, precision, recall, said, references)


@dataclass(frozen=True)
class Manners:
    """How a coach speaks, over all sessions together; None where nothing was said or matched.

    `median_delay_s` and `p95_delay_s` are of the matched messages (best matching), negative where a message came before
    its reference. A false alarm matches no reference. A message repeats where the session has heard its words before.
    """

    messages_per_minute: float
    false_alarms_per_minute: float
    repetition_rate: float | None
    median_delay_s: float | None
    p95_delay_s: float | None


def manners(sessions: Sequence[Session], tolerance_s: float = TOLERANCE_S) -> Manners:
    """Rates of messages, false alarms and repetitions, and how late they come. Raises ValueError without sessions."""
    if not sessions:
        raise ValueError("there is no session to measure")
    minutes = sum(session.duration_s for session in sessions) / 60
    delays_s: list[float] = []
    said = repeated = 0
    for session in sessions:
        delays_s += [
            session.said[place].time_s - session.references[index].time_s
            for index, place in match_best(session.references, session.said, tolerance_s)
        ]
        words = [" ".join(message.text.casefold().split()) for message in session.said if message.text.strip()]
        said += len(words)
        repeated += len(words) - len(set(words))
    return Manners(
        messages_per_minute=said / minutes,
        false_alarms_per_minute=(said - len(delays_s)) / minutes,
        repetition_rate=repeated / said if said else None,
        median_delay_s=float(np.median(delays_s)) if delays_s else None,
        p95_delay_s=float(np.percentile(delays_s, 95)) if delays_s else None,
    )


def silence(session: Session) -> Session:
    """The baseline that never speaks."""
    return Session(session.references, (), session.duration_s)


def chatter(session: Session, text: str, every_s: float = TOLERANCE_S) -> Session:
    """The baseline that says the same every few seconds, whatever happens."""
    times = np.arange(every_s / 2, session.duration_s, every_s)
    return Session(session.references, tuple(Message(float(time), text) for time in times), session.duration_s)


def random_times(session: Session, texts: Sequence[str], per_minute: float, seed: int) -> Session:
    """The baseline that says training texts as often as training sessions have feedback, at times of chance."""
    random = np.random.default_rng(seed)
    count = random.poisson(per_minute * session.duration_s / 60)
    times = np.sort(random.uniform(0, session.duration_s, count))
    said = tuple(Message(float(time), texts[int(random.integers(len(texts)))]) for time in times)
    return Session(session.references, said, session.duration_s)
