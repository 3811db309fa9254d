"""From a measured clip and a teacher to a label: ask, verify every point, score, and keep what was rejected."""

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.reference import Reference, differences
from posellm_assets.coaching.labels.rules import NoRules, repetitions_of, rules_of, unseen
from posellm_assets.coaching.labels.schema import (
    MAX_POINTS,
    SEVERITIES,
    CoachingLabel,
    FeedbackPoint,
    Rejected,
    Span,
    Status,
    score,
)
from posellm_assets.coaching.labels.teachers import Answer, BrokenAnswer, Teacher
from posellm_assets.coaching.labels.verify import verify


def label_clip(
    clip: MeasuredClip, teacher: Teacher, previous_score: int | None = None, reference: Reference | None = None
) -> CoachingLabel:
    """The label of a clip by `teacher`, with what differs from a reference where there is one.

    A clip whose exercise has no rules, or in which no repetition is found, gets a label that says so (status). Errors
    of a teacher's service are raised: nothing was said, so there is nothing to keep.
    """
    rules = rules_of(clip.exercise)
    repetitions = repetitions_of(clip, rules) if rules else []
    shown, found = differences(clip, reference) if reference else ([], ())
    against = reference.name if reference else None
    if rules is None and reference and not shown:
        return _without(clip, teacher, "failed", f"no repetition like those of {reference.name} was found in the clip")
    if rules and not repetitions:
        return _without(clip, teacher, "failed", f"no {rules.counted} of the {rules.exercise} was found in the clip")
    try:
        answer = teacher.teach(clip)
    except NoRules as error:
        if reference is None:
            return _without(clip, teacher, "no_rules", str(error))
        return CoachingLabel(
            key=clip.key,
            exercise=clip.exercise,
            teacher=teacher.name,
            status="compared",
            positive_note="" if found else f"Nothing differs from {against} by more than can be measured.",
            repetitions=tuple(Span(start_s=one.start_s, end_s=one.end_s) for one in shown),
            reference=against,
            differences=found,
        )
    except BrokenAnswer as error:
        rejected = Rejected(reasons=(f"schema: {error}",), said=error.said)
        return _without(clip, teacher, "failed", str(error), (rejected,))
    points, rejected_points = verified(clip, answer, repetitions)
    total = score(points)
    return CoachingLabel(
        key=clip.key,
        exercise=rules.exercise if rules else clip.exercise,
        teacher=teacher.name,
        status="success",
        positive_note=answer.positive_note,
        progress_score=total,
        improvement_delta=None if previous_score is None else total - previous_score,
        feedback_points=points,
        repetitions=tuple(Span(start_s=one.start_s, end_s=one.end_s) for one in repetitions),
        reference=against,
        differences=found,
        not_judged=tuple(unseen(clip, rules, repetitions)) if rules else (),
        rejected=rejected_points,
    )


def verified(
    clip: MeasuredClip, answer: Answer, repetitions: list[Repetition]
) -> tuple[tuple[FeedbackPoint, ...], tuple[Rejected, ...]]:
    """The verified points, in order of time, and everything else with its reasons."""
    kept: list[FeedbackPoint] = []
    rejected = list(answer.rejected)
    for point in answer.points:
        judged = verify(clip, point, repetitions)
        if isinstance(judged, Rejected):
            rejected.append(judged)
        elif any((one.fault, one.side, one.measured.quantity) == (judged.fault, judged.side, judged.measured.quantity)
                 for one in kept):  # fmt: skip
            rejected.append(Rejected(reasons=("duplicate: the same was said before",), said=point))
        else:
            kept.append(judged)
    kept.sort(key=lambda point: SEVERITIES.index(point.severity))
    rejected += [
        Rejected(
            reasons=(f"too many: at most {MAX_POINTS} points are kept, the gravest",), said=one.model_dump(mode="json")
        )
        for one in kept[MAX_POINTS:]
    ]
    kept = sorted(kept[:MAX_POINTS], key=lambda point: point.mistake_timestamp_ms)
    return tuple(kept), tuple(rejected)


def _without(
    clip: MeasuredClip, teacher: Teacher, status: Status, why: str, rejected: tuple[Rejected, ...] = ()
) -> CoachingLabel:
    return CoachingLabel(
        key=clip.key, exercise=clip.exercise, teacher=teacher.name, status=status, error_message=why, rejected=rejected
    )
