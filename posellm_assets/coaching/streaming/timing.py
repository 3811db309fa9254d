"""A coach measured on sessions: what it says to them, how well the times fit, and whether it is promoted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from posellm_assets.coaching.streaming.coach import Coach
from posellm_assets.coaching.streaming.scores import Matching, Session, TimedF, match_best, match_greedily, timed_f
from posellm_assets.coaching.streaming.sessions import CoachedSession
from posellm_assets.generations.gate import GateOutcome
from posellm_assets.reports.metrics import Figure

RESAMPLES = 1000


def heard(coach: Coach, session: CoachedSession) -> Session:
    """What the coach says beside what should have been said."""
    end_s = session.duration_s
    said = tuple(replace(one, time_s=min(one.time_s, end_s)) for one in coach.hear_all(session))
    return Session(session.messages, said, end_s)


def scored(coach: Coach, sessions: Sequence[CoachedSession]) -> tuple[TimedF, TimedF]:
    """T-F-Score as published and with the best matching."""
    answers = [heard(coach, session) for session in sessions]
    return timed_f(answers, match_greedily), timed_f(answers, match_best)


def timed_figure(sessions: Sequence[Session], match: Matching, seed: int = 0) -> Figure:
    """The T-F-Score with the 95 % interval of resampled sessions, which are the independent cases."""
    if len(sessions) < 2:
        return Figure(value=timed_f(sessions, match).f, n=len(sessions))
    drawn = np.quantile(_resampled([_counts(sessions, match)], lambda f: f[0], seed), [0.025, 0.975])
    return Figure(value=timed_f(sessions, match).f, n=len(sessions), interval=(float(drawn[0]), float(drawn[1])))


def decide(
    own: Sequence[Session],
    baselines: Mapping[str, Sequence[Session]],
    rival: Sequence[Session] | None,
    against: str | None,
) -> GateOutcome:
    """Promote a coach that speaks at better times than every baseline, and no worse than `against`, the one in use.

    Worse is what the 95 % interval of resampled sessions says of the difference between the two on the same sessions,
    T-F-Score with the best matching. Sessions of the two are in the same order.
    """
    reasons = []
    f = timed_f(own, match_best).f
    promote = True
    for name, answers in baselines.items():
        if timed_f(answers, match_best).f >= f:
            promote = False
            reasons.append(f"T-F-Score {f:.3f} is not better than {timed_f(answers, match_best).f:.3f} of {name}.")
    if rival is not None:
        other = timed_f(rival, match_best).f
        counts = [_counts(own, match_best), _counts(rival, match_best)]
        low, high = np.quantile(_resampled(counts, lambda f: f[0] - f[1], 0), [0.025, 0.975])
        said = f"T-F-Score {f:.3f} against {other:.3f} of the coach in use (difference {low:+.3f} to {high:+.3f})."
        if high < 0:
            promote = False
            reasons.append(f"Worse: {said}")
        else:
            reasons.append(f"Not worse: {said}")
    elif promote:
        reasons.append(f"T-F-Score {f:.3f} is better than that of every baseline, and no other coach is in use.")
    return GateOutcome(promote=promote, reasons=tuple(reasons), against=against)


def _counts(sessions: Sequence[Session], match: Matching) -> np.ndarray:
    """(N, 4): references found, messages that are right, messages, references of each session."""
    rows = []
    for session in sessions:
        one = timed_f([session], match)
        rows.append((one.recall * one.references, one.precision * one.said, one.said, one.references))
    return np.array(rows)


def _resampled(
    counts: Sequence[np.ndarray], measure: Callable[[list[np.ndarray]], np.ndarray], seed: int
) -> np.ndarray:
    """`measure` of the T-F-Scores of each list of sessions, the same sessions drawn with replacement for all."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(counts[0]), size=(RESAMPLES, len(counts[0])))
    scores = []
    for one in counts:
        found, right, said, references = np.moveaxis(one[drawn].sum(axis=1), -1, 0)
        precision, recall = right / np.maximum(said, 1), found / np.maximum(references, 1)
        scores.append(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    return np.asarray(measure(scores))
