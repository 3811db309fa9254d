"""Whether a language model is promoted: a pure function of its cases and those of the one in use, the champion.

Each retained figure is compared, as `generations.gate` says, over all cases that the champion had to know and for each
of its sports. Figures that are no mean over cases (FID, R-Precision) are compared as they are, with the half-width of
the champion's own interval.

Cases that are new to the champion, clips and labels that its snapshot does not hold, say what was learned: of the
figures in `GateConfig.improved` none may be worse there, by the same rule, and one at least has to be better.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from posellm_assets.evaluation.cases import FILE, Case, read_cases
from posellm_assets.evaluation.config import GateConfig
from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.generations.gate import Comparison, GateOutcome, compared, verdict_of
from posellm_assets.reports.metrics import Figure
from posellm_assets.reports.tables import in_words, is_share

ALL, NEW = "all that it knew", "new to it"
_LOWER_IS_BETTER = ("nll_per_code", "length_error", "edit_distance", "fid", "mm_dist")


@dataclass(frozen=True)
class ModelFigures:
    """What a report holds of a model: its figures, why others are absent, and the cases behind them."""

    figures: Mapping[str, Figure]
    absent: Mapping[str, str]
    cases: Sequence[Case]

    @classmethod
    def read(cls, folder: Path) -> "ModelFigures":
        """The report in `folder`."""
        measured = MeasuredFigures.read(folder)
        return cls(measured.figures, measured.absent, read_cases(folder / FILE))


@dataclass(frozen=True)
class Released:
    """The released model, and what it had to know: the videos and labels of its snapshot.

    `measured` is None where it uses another tokenizer than the new model, so that they cannot be compared.
    """

    name: str
    keys: AbstractSet[str]
    labels: AbstractSet[str]
    measured: ModelFigures | None

    def knows(self, case: Case) -> bool:
        """Whether a case is retained rather than new."""
        if case.key is not None:
            return case.key in self.keys
        return case.label is None or case.label in self.labels


def decide(new: ModelFigures, champion: Released | None, gate: GateConfig) -> GateOutcome:
    """Release a first model; release a later one only if it keeps what the champion can do and is better at what is
    new to it.

    A figure that the champion has and the new model lacks counts as worse; one that both lack is left out, and if
    nothing can be compared the champion stays.
    """
    if champion is None:
        reason = (
            "This is the first model, so there is nothing to compare it with: fit for release means that no released "
            "model is better, and nothing about how good it is."
        )
        return GateOutcome(promote=True, reasons=(reason,), against=None)
    if champion.measured is None:
        reason = (
            f"{champion.name}, the champion, uses another tokenizer, so their figures cannot be "
            "compared and it stays until a person promotes this one."
        )
        return GateOutcome(promote=False, reasons=(reason,), against=champion.name)
    old = champion.measured
    refused: list[str] = []
    told: list[str] = []
    comparisons: list[Comparison] = []
    for name in gate.retained:
        if name not in old.figures:
            told.append(f"{in_words(name)} was not measured for the champion.")
        elif name not in new.figures:
            why = new.absent.get(name, "no reason is given")
            refused.append(
                f"{in_words(name)} is {old.figures[name].value:.3f} for the champion and could not be measured here: "
                f"{why}."
            )
        else:
            comparisons += _retained(name, new, old, champion, gate)
    refused += [str(comparison) for comparison in comparisons if comparison.verdict == "worse"]
    if not refused and all(comparison.verdict == "one case says nothing" for comparison in comparisons):
        reason = "No retained figure can be compared on more than one case, so the champion stays until one can be."
        return GateOutcome(
            promote=False, reasons=(reason, *told), against=champion.name, comparisons=tuple(comparisons)
        )
    learned = [comparison for name in gate.improved for comparison in _learned(name, new, old, champion, gate)]
    refused += [str(comparison) for comparison in learned if comparison.verdict == "worse"]
    if not learned:
        told.append("No held-out case is new to the champion, so what was learned could not be measured.")
    no_better = [comparison for comparison in learned if all(other.gain <= 0 for other in learned)]
    refused += [f"Not better: {comparison}" for comparison in no_better if comparison.verdict != "worse"]
    if not refused:
        told.insert(0, f"None of {len(comparisons)} retained figures is worse than that of {champion.name}.")
        told += [str(comparison) for comparison in learned if comparison.gain > 0]
    return GateOutcome(
        promote=not refused,
        reasons=(*refused, *told),
        against=champion.name,
        comparisons=(*comparisons, *learned),
    )


def lower_is_better(name: str) -> bool:
    """Whether a figure of a report is better where it is smaller."""
    return name.startswith(_LOWER_IS_BETTER)


def _retained(
    name: str, new: ModelFigures, old: ModelFigures, champion: Released, gate: GateConfig
) -> list[Comparison]:
    pairs = _pairs(name, new, old)
    if not pairs:
        return [_unpaired(name, new.figures[name], old.figures[name], gate)]
    known = [pair for pair in pairs if champion.knows(pair[0])]
    sports = sorted({case.sport for case, _ in known})
    groups = {ALL: known} | {
        sport: [pair for pair in known if pair[0].sport == sport] for sport in sports if len(sports) > 1
    }
    return [_compared(name, group, members, gate) for group, members in groups.items() if members]


def _learned(name: str, new: ModelFigures, old: ModelFigures, champion: Released, gate: GateConfig) -> list[Comparison]:
    fresh = [pair for pair in _pairs(name, new, old) if not champion.knows(pair[0])]
    return [_compared(name, NEW, fresh, gate)] if fresh else []


def _pairs(name: str, new: ModelFigures, old: ModelFigures) -> list[tuple[Case, Case]]:
    """The cases of a figure that both models have, the new model's first."""
    before = {case.case: case for case in old.cases if case.figure == name}
    return [(case, before[case.case]) for case in new.cases if case.figure == name and case.case in before]


def _compared(name: str, of: str, pairs: Sequence[tuple[Case, Case]], gate: GateConfig) -> Comparison:
    return compared(
        name,
        of,
        [now.value for now, _ in pairs],
        [before.value for _, before in pairs],
        tolerance=gate.tolerance,
        weights=[before.weight for _, before in pairs],
        lower_is_better=lower_is_better(name),
        is_share=is_share(name),
    )


def _unpaired(name: str, new: Figure, old: Figure, gate: GateConfig) -> Comparison:
    gain = (new.value - old.value) * (-1 if lower_is_better(name) else 1)
    # An interval that was cut on one side is whole on the other.
    half = max(old.value - old.interval[0], old.interval[1] - old.value) if old.interval else 0.0
    return Comparison(
        figure=name,
        of=ALL,
        new=new.value,
        old=old.value,
        n=new.n,
        gain=gain,
        interval=(gain - half, gain + half) if old.interval else None,
        verdict=verdict_of(gain, half, gate.tolerance * abs(old.value)),
    )
