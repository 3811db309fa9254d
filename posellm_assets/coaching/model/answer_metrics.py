"""How well answers about clips agree with their labels: schema, faults, joints, sides, angles, times. No models."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from posellm_assets.coaching.labels.quantities import QUANTITIES
from posellm_assets.coaching.model.answers import SaidLabel, SaidPoint
from posellm_assets.reports.metrics import Figure, average, share

Pair = tuple[SaidPoint, SaidPoint | None]

MEANINGS = {
    "schema_valid": "share of answers that follow the schema (n: clips)",
    "exactly_right": "share of clips of which exactly the faults and sides of the label are said (n: clips)",
    "fault_recall": "share of the labels' points whose fault is said (n: points of the labels)",
    "fault_precision": "share of the said points whose fault the label has (n: points said)",
    "joint_agreement": "share of the labels' points for which a point with that joint is said (the same n)",
    "side_agreement": "share of the labels' points for which a point with that joint and side is said (the same n)",
    "severity_agreement": "share of matched points of the same severity (n: matched points)",
    "angle_error_deg": "mean difference of the angle said (n: matched points about the same angle)",
    "time_error_s": "mean difference of the time said (n: matched points)",
}


def agreement(labels: Sequence[SaidLabel], answers: Sequence[SaidLabel | None]) -> tuple[dict[str, Figure], list[str]]:
    """The figures of `MEANINGS`, and the names of those that nothing could be measured for.

    Points are matched within a clip: the same fault and side first, then the same fault, and of equals the nearest in
    time. What an answer that is None (no schema) does not say counts as not said.
    """
    said = [answer.feedback_points if answer else () for answer in answers]
    pairs = [
        pair
        for label, points in zip(labels, said, strict=True)
        for pair in _matched(label.feedback_points, points, by_fault=True)
    ]
    by_joint = [
        pair
        for label, points in zip(labels, said, strict=True)
        for pair in _matched(label.feedback_points, points, by_fault=False)
    ]
    both = [(wanted, found) for wanted, found in pairs if found]
    # A data set may be older than a quantity's name: of what is not known any more no angle is compared.
    degrees = {name for name, quantity in QUANTITIES.items() if quantity.unit == "degrees"}
    angles = [
        abs(wanted.value - found.value)
        for wanted, found in both
        if wanted.quantity == found.quantity and wanted.quantity in degrees
    ]
    exact = [
        answer is not None and _told(label) == _told(answer) for label, answer in zip(labels, answers, strict=True)
    ]
    counts = {
        "schema_valid": [answer is not None for answer in answers],
        "exactly_right": exact,
        "fault_recall": [found is not None for _, found in pairs],
        "fault_precision": [True] * len(both) + [False] * (sum(map(len, said)) - len(both)),
        "joint_agreement": [found is not None and found.joint == wanted.joint for wanted, found in by_joint],
        "side_agreement": [
            found is not None and (found.joint, found.side) == (wanted.joint, wanted.side) for wanted, found in by_joint
        ],
        "severity_agreement": [wanted.severity == found.severity for wanted, found in both],
    }
    figures = {name: share(sum(right), len(right)) for name, right in counts.items() if right}
    times_s = [abs(wanted.mistake_timestamp_ms - found.mistake_timestamp_ms) / 1000 for wanted, found in both]
    figures |= {name: average(v) for name, v in (("angle_error_deg", angles), ("time_error_s", times_s)) if v}
    return figures, [name for name in MEANINGS if name not in figures]


def _told(label: SaidLabel) -> set[tuple[str, str | None]]:
    return {(point.fault, point.side) for point in label.feedback_points}


def _matched(wanted: Sequence[SaidPoint], said: Sequence[SaidPoint], by_fault: bool) -> list[Pair]:
    """Each wanted point with the one said point that fits it best, or None; nothing fits twice."""
    if not wanted or not said:
        return [(point, None) for point in wanted]
    worth = np.array([[_worth(one, other, by_fault) for other in said] for one in wanted])
    rows, columns = linear_sum_assignment(-worth)
    found = {row: said[column] for row, column in zip(rows, columns, strict=True) if worth[row, column] > 0}
    return [(point, found.get(place)) for place, point in enumerate(wanted)]


def _worth(wanted: SaidPoint, said: SaidPoint, by_fault: bool) -> float:
    """More for what matters more: fault (or joint), then side, then time; 0 where the first differs."""
    same = wanted.fault == said.fault if by_fault else wanted.joint == said.joint
    gap_s = abs(wanted.mistake_timestamp_ms - said.mistake_timestamp_ms) / 1000
    return 4.0 + 2.0 * (wanted.side == said.side) + 1 / (1 + gap_s) if same else 0.0
