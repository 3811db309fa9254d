"""Whether a recogniser is promoted: a pure function of what it and the one in use named the same held-out clips."""

from collections.abc import Sequence
from dataclasses import dataclass

from posellm_assets.generations.gate import TOLERANCE, Comparison, GateOutcome, compared

ALL = "all clips of classes that it knew"


@dataclass(frozen=True)
class Named:
    """The classes that a recogniser knows, and what it named each clip; None where it had no opinion."""

    classes: frozenset[str]
    clips: Sequence[str | None]


def decide(
    truth: Sequence[str], sports: Sequence[str], new: Named, old: Named | None, against: str | None
) -> GateOutcome:
    """Promote a first recogniser; promote a later one only if it is not worse than the one in use, `against`.

    Each clip has a class in `truth` and a sport. Compared are those whose class the one in use knows, all together and
    by sport, by whether they were named rightly. A recogniser that lacks one of its classes is worse; where fewer than
    two clips can be compared, or `old` is None because its models are gone, a person decides.
    """
    if against is None:
        return GateOutcome(
            promote=True,
            reasons=("This is the first recogniser, so there is nothing to compare it with, and no figure to reach.",),
            against=None,
        )
    if old is None:
        reason = (
            f"{against}, the recogniser in use, cannot be asked any more, so it stays until a person promotes this one."
        )
        return GateOutcome(promote=False, reasons=(reason,), against=against)
    refused = []
    if missing := sorted(old.classes - new.classes):
        refused.append(f"It does not know {', '.join(missing)}, which {against}, the recogniser in use, does.")
    known = [place for place, class_id in enumerate(truth) if class_id in old.classes]
    found = sorted({sports[place] for place in known})
    groups = {ALL: known} | {
        sport: [place for place in known if sports[place] == sport] for sport in found if len(found) > 1
    }
    comparisons = [_compared(of, places, truth, new, old) for of, places in groups.items() if places]
    refused += [str(one) for one in comparisons if one.verdict == "worse"]
    if not refused and all(one.verdict == "one case says nothing" for one in comparisons):
        refused.append(
            f"Only {len(known)} held-out clips show classes that {against}, the recogniser in use, knows, so it "
            "stays until more can be compared or a person promotes this one."
        )
    passed = (f"Not worse than {against}: {comparisons[0]}",) if comparisons else ()
    return GateOutcome(
        promote=not refused,
        reasons=tuple(refused) or passed,
        against=against,
        comparisons=tuple(comparisons),
    )


def _compared(of: str, places: Sequence[int], truth: Sequence[str], new: Named, old: Named) -> Comparison:
    right = [[float(who.clips[place] == truth[place]) for place in places] for who in (new, old)]
    return compared("accuracy", of, *right, tolerance=TOLERANCE, is_share=True)
