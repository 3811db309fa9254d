"""A coach measured on sessions: what it says to them, how well the times fit, and whether it is promoted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from posellm_assets.coaching.streaming.coach import Coach
from posellm_assets.coaching.streaming.scores import Matching, Session, TimedF, match_best, match_greedily, timed_f
from posellm_assets.coaching.streaming.sessions import CoachedSession
from posellm_assets.generations.gate import GateOutcome
from posellm_assets.reports.metrics import Figure, resampled


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
    counts = _counts(sessions, match)
    return resampled(lambda chosen: _f(counts[chosen]), len(sessions), seed)


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
        new, old = _counts(own, match_best), _counts(rival, match_best)
        gain = resampled(lambda chosen: _f(new[chosen]) - _f(old[chosen]), len(own))
        low, high = gain.interval or (gain.value, gain.value)
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


def _f(counts: np.ndarray) -> float:
    """The T-F-Score of sessions, from their counts (N, 4)."""
    found, right, said, references = counts.sum(axis=0)
    precision, recall = right / max(said, 1), found / max(references, 1)
    return float(2 * precision * recall / max(precision + recall, 1e-12))
