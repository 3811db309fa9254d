"""Sentences for people from measured facts, with the numbers as they were measured."""

from collections.abc import Iterable

from posellm_assets.texts.facts import Fact
from posellm_assets.texts.wording import Movement, movements, words


def describe(facts: Iterable[Fact]) -> list[str]:
    """One English sentence for each movement, then heights, speeds and holds.

    "Both knees bend, from 172 to 95 degrees, 6 times, one every 2.1 s."
    """
    facts = list(facts)
    patterns = words()["sentence"]
    sentences = [_movement(movement, patterns) for movement in movements(facts)]
    if not sentences:
        sentences = [patterns["nothing"]]
    sentences += _heights(facts, patterns)
    for fact in facts:
        if fact.kind == "speed":
            who = words()["joints"][fact.joint][fact.side]
            sentence = patterns["speed"].format(who=who, speed=f"{fact.value:.1f}", start_s=f"{fact.start_s:.1f}")
            sentences.append(sentence)
    sentences += _hold(facts, patterns)
    return [sentence[0].upper() + sentence[1:] + "." for sentence in sentences]


def _movement(movement: Movement, patterns: dict) -> str:
    if len(movement.angles) == 2:
        values = {"who_verb": movement.who_verb, "period": _period(movement, patterns)}
        for angle, times in zip(movement.angles, movement.counts, strict=True):
            values |= {f"{angle.side}_start": f"{angle.value:.0f}", f"{angle.side}_end": f"{angle.to_value:.0f}"}
            values[f"{angle.side}_count"] = patterns["count"].format(n=times) if times else ""
        return patterns["in_turn"].format(**values)
    (angle,), (times,) = movement.angles, movement.counts
    return patterns["movement" if times else "once"].format(
        who_verb=movement.who_verb,
        start=f"{angle.value:.0f}",
        end=f"{angle.to_value:.0f}",
        count=patterns["count"].format(n=times) if times else "",
        period=_period(movement, patterns),
        start_s=f"{angle.start_s:.1f}",
        end_s=f"{angle.end_s:.1f}",
    )


def _period(movement: Movement, patterns: dict) -> str:
    if movement.period_s is None:
        return ""
    return patterns["period"].format(period=f"{movement.period_s:.1f}")


def _heights(facts: list[Fact], patterns: dict) -> list[str]:
    sentences = []
    for fact in facts:
        if fact.kind in ("over_head", "over_shoulders"):
            who = words()["joints"][fact.joint][fact.side]
            verb = patterns["height_verbs"][fact.side == "both"]
            sentences.append(
                patterns[fact.kind].format(
                    who=who, verb=verb, length=f"{fact.value:.2f}", start_s=f"{fact.start_s:.1f}"
                )
            )
    return sentences


def _hold(facts: list[Fact], patterns: dict) -> list[str]:
    holds = [fact for fact in facts if fact.kind == "hold"]
    if not holds:
        return []
    postures: dict[str, list[float]] = {}
    for fact in facts:
        if fact.kind == "posture":
            postures.setdefault(fact.joint, []).append(fact.value)
    posture = ""
    if "trunk" in postures:
        posture += patterns["trunk_posture"].format(trunk=f"{postures['trunk'][0]:.0f}")
    if "knee" in postures:
        posture += patterns["knee_posture"].format(knee=" and ".join(f"{value:.0f}" for value in postures["knee"]))
    hold = holds[0]
    return [
        patterns["hold"].format(
            duration=f"{hold.value:.1f}", start_s=f"{hold.start_s:.1f}", end_s=f"{hold.end_s:.1f}", posture=posture
        )
    ]
