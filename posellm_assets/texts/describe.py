"""Sentences for people from measured facts, with the numbers as they were measured."""

from collections.abc import Iterable, Sequence
from typing import Any

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.certainty import sure
from posellm_assets.texts.fact import Fact
from posellm_assets.texts.wording import RELATIONS, JointMovement, joint_movements, relation_words, words


def describe_stretches(stretches: Sequence[tuple[Motion, list[Fact]]], language: str = "en") -> list[str]:
    """The sentences of each stretch of a motion; where there are several each begins with its time."""
    sentences = []
    for stretch, facts in stretches:
        if len(stretches) > 1:
            span = {"start_s": f"{stretch.start_s:.1f}", "end_s": f"{stretch.start_s + stretch.duration_s:.1f}"}
            sentences.append(words(language)["sentence"]["stretch"].format(**span))
        sentences += describe(facts, language)
    return sentences or describe([], language)


def describe(facts: Iterable[Fact], language: str = "en") -> list[str]:
    """One sentence for each movement that is sure, then how they go together, where body parts lie, speeds and holds.

    "Both knees bend, from 172 to 95 degrees, 6 times, one every 2.1 s."
    """
    facts = sure(facts)
    said = words(language)
    patterns = said["sentence"]
    moved = joint_movements(facts)
    sentences = [_movement(movement, language) for movement in moved] or [patterns["nothing"]]
    for fact in facts:
        if fact.kind in RELATIONS:
            sentences.append(_relation(fact, language))
        elif fact.kind == "order":
            sentences.append(_order(fact, moved, language))
        elif fact.kind in ("symmetry", "asymmetry"):
            who = said["joints"][fact.joint][fact.side]
            sentences.append(patterns[fact.kind].format(who=who, difference=f"{fact.value:.0f}"))
        elif fact.kind == "speed":
            who = said["joints"][fact.joint][fact.side]
            sentence = patterns["speed"].format(who=who, speed=f"{fact.value:.1f}", start_s=f"{fact.start_s:.1f}")
            sentences.append(sentence)
    sentences += _hold(facts, said)
    return [sentence[0].upper() + sentence[1:] + said["full_stop"] for sentence in sentences]


def _movement(movement: JointMovement, language: str) -> str:
    patterns = words(language)["sentence"]
    who_verb, period = movement.who_verb(language), _period(movement, patterns)
    if len(movement.angles) == 2:
        values = {"who_verb": who_verb, "period": period}
        for angle, times in zip(movement.angles, movement.counts, strict=True):
            values |= {f"{angle.side}_start": f"{angle.value:.0f}", f"{angle.side}_end": f"{angle.to_value:.0f}"}
            values[f"{angle.side}_count"] = _count(times, patterns)
        return patterns["in_turn"].format(**values)
    (angle,), (times,) = movement.angles, movement.counts
    return patterns["movement" if times else "once"].format(
        who_verb=who_verb,
        start=f"{angle.value:.0f}",
        end=f"{angle.to_value:.0f}",
        count=_count(times, patterns),
        period=period,
        start_s=f"{angle.start_s:.1f}",
        end_s=f"{angle.end_s:.1f}",
    )


def _count(times: int | None, patterns: dict[str, Any]) -> str:
    if times == 1:
        return str(patterns["back"])
    return str(patterns["count"].format(n=times)) if times else ""


def _period(movement: JointMovement, patterns: dict[str, Any]) -> str:
    if movement.period_s is None:
        return ""
    return patterns["period"].format(period=f"{movement.period_s:.1f}")


def _relation(fact: Fact, language: str) -> str:
    patterns = words(language)["sentence"]
    times = fact.times or 1
    when = patterns["once_when" if times == 1 else "often_when"].format(
        n=times, start_s=f"{fact.start_s:.1f}", end_s=f"{fact.end_s:.1f}"
    )
    pattern = {"near": "near", "beside": "apart", "ahead": "apart"}.get(fact.kind, "above")
    return patterns[pattern].format(relation=relation_words(fact, language), length=f"{fact.value:.2f}", when=when)


def _order(fact: Fact, moved: list[JointMovement], language: str) -> str:
    patterns = words(language)["sentence"]
    who = {(movement.joint, movement.angles[0].side): movement.who_verb(language) for movement in moved}
    return patterns["order"].format(
        first=who[fact.joint, fact.side],
        then=who[fact.other or "", fact.other_side],
        later=f"{fact.value:.1f}",
        count=_count(fact.times if fact.times != 1 else 0, patterns),
    )


def _hold(facts: list[Fact], said: dict[str, Any]) -> list[str]:
    holds = [fact for fact in facts if fact.kind == "hold"]
    if not holds:
        return []
    patterns = said["sentence"]
    postures: dict[str, list[float]] = {}
    for fact in facts:
        if fact.kind == "posture":
            postures.setdefault(fact.joint, []).append(fact.value)
    posture = ""
    if "trunk" in postures:
        posture += patterns["trunk_posture"].format(trunk=f"{postures['trunk'][0]:.0f}")
    if "knee" in postures:
        posture += patterns["knee_posture"].format(knee=said["and"].join(f"{value:.0f}" for value in postures["knee"]))
    hold = holds[0]
    return [
        patterns["hold"].format(
            duration=f"{hold.value:.1f}", start_s=f"{hold.start_s:.1f}", end_s=f"{hold.end_s:.1f}", posture=posture
        )
    ]
