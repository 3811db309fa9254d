"""The teacher that needs no network: findings of the rules, said as a coach would."""

from collections.abc import Sequence

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.overlays import overlay
from posellm_assets.coaching.labels.quantities import QUANTITIES, moment_s, said
from posellm_assets.coaching.labels.rules import BrokenRule, NoRules, all_rules, findings, repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import MAX_POINTS, SEVERITIES, FeedbackPoint, MeasuredValue
from posellm_assets.coaching.labels.teachers import Answer


class RuleTeacher:
    """Labels a clip by the rules of its exercise."""

    name = "rules"

    def teach(self, clip: MeasuredClip) -> Answer:
        """A point for each fault and side, at the repetition in which it is worst, worst first, at most `MAX_POINTS`.

        Raises NoRules where the exercise has none.
        """
        rules = rules_of(clip.exercise)
        if rules is None:
            known = ", ".join(one.exercise for one in all_rules())
            what = f"for {clip.exercise!r}" if clip.exercise else "for a clip without a label"
            raise NoRules(
                f"there are no rules {what} and no reference: name one that is right with --reference, or give clips"
                f' of it the form "correct" in their sidecars; there are rules for {known}'
            )
        groups: dict[tuple[str, str | None], list[BrokenRule]] = {}
        for finding in findings(clip, rules, repetitions_of(clip, rules)):
            groups.setdefault((finding.rule.fault, finding.side), []).append(finding)
        points = [point for group in groups.values() if (point := point_of(clip, group))]
        points.sort(key=lambda point: SEVERITIES.index(point.severity))
        praise = "" if points else rules.praise
        return Answer(praise, tuple(point.model_dump(mode="json") for point in points[:MAX_POINTS]))


def point_of(clip: MeasuredClip, group: Sequence[BrokenRule]) -> FeedbackPoint | None:
    """The point for one fault; None where nothing of it can be shown in the picture."""
    for worst in sorted(group, key=lambda finding: -finding.excess):
        rule, side, quantity = worst.rule, worst.side, QUANTITIES[worst.rule.quantity]
        time_s = moment_s(clip, rule.quantity, side, worst.repetition)
        visuals = overlay(clip, rule.quantity, side, worst.value, worst.target, time_s)
        if visuals is None:
            continue
        other = {"left": "right", "right": "left"}.get(side or "", "")
        script = rule.script.format(
            side=side, other=other, value=said(worst.value, quantity.unit), target=said(worst.target, quantity.unit)
        )
        return FeedbackPoint.model_validate(
            {
                "mistake_timestamp_ms": round(1000 * time_s),
                "coaching_script": script,
                "severity": worst.severity,
                "visuals": visuals,
                "fault": rule.fault,
                "joint": quantity.joint,
                "side": side,
                "measured": MeasuredValue(
                    quantity=rule.quantity,
                    value=round(worst.value, 3),
                    unit=quantity.unit,
                    target=round(worst.target, 3),
                ),
                "repetitions": [one.repetition.number for one in group],
            }
        )
    return None
