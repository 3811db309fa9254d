"""The figures of a report, those that could not be measured with the reason, and the tables behind them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from pydantic import ConfigDict

from posellm_assets.evaluation.cases import Case
from posellm_assets.files import read_record
from posellm_assets.lake import METRICS
from posellm_assets.records import Record
from posellm_assets.reports.metrics import Figure, share

Value = TypeVar("Value", bool, float, tuple[float, int])

NO_TEST = (
    "the test split is empty: no clip belongs to a participant of the test split; add footage of more participants"
)
NO_LABELS = "no clip of the test split has a label"
ONE_LABEL = "the training clips have fewer than two labels, so there is nothing to tell apart"
ONE_TEXT = "fewer than two different texts in the test split"


class Labelled(Protocol):
    """What figures are grouped by: a clip, or a motion that was generated."""

    @property
    def about(self) -> str: ...

    @property
    def key(self) -> str | None: ...

    @property
    def sport(self) -> str: ...

    @property
    def label(self) -> str | None: ...


class MeasuredFigures(Record):
    """The figures of a model in the report of a generation, and why others are absent: a part of its `metrics.json`."""

    model_config = ConfigDict(extra="ignore")

    figures: dict[str, Figure]
    absent: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them from the report in `folder`; FileNotFoundError where there is none, ValueError where damaged."""
        return read_record(folder / METRICS, cls, "materialize evaluation_report for its snapshot again")


class Figures:
    """Collects figures by name, for everything and for each sport and label."""

    def __init__(self) -> None:
        self.overall: dict[str, Figure] = {}
        self.cases: list[Case] = []
        self.absent: dict[str, str] = {}
        self.by_sport: dict[str, dict[str, Figure]] = defaultdict(dict)
        self.by_label: dict[str, dict[str, Figure]] = defaultdict(dict)
        self.confusions: dict[str, dict[str, Any]] = {}

    def add(
        self,
        name: str,
        cases: Sequence[Labelled],
        values: Sequence[Value],
        measure: Callable[[Sequence[Value]], Figure],
    ) -> None:
        """Measure the values of all cases, and those of each sport and each label.

        A value is a number, or a number with its weight.
        """
        seen: Counter[str] = Counter()
        for case, of_case in zip(cases, values, strict=True):
            value, weight = of_case if isinstance(of_case, tuple) else (of_case, 1.0)
            number = seen[case.about]
            seen[case.about] += 1
            self.cases.append(
                Case(name, f"{case.about} {number}", case.key, case.sport, case.label, float(value), float(weight))
            )
        for figures, members in self._groups(cases, self.by_sport, self.by_label):
            figures[name] = measure([values[index] for index in members])

    def add_accuracy(self, name: str, cases: Sequence[Labelled], predicted: Sequence[str | None]) -> None:
        """Add the share of cases whose label was predicted."""
        right = [case.label == found for case, found in zip(cases, predicted, strict=True)]
        self.add(name, cases, right, lambda values: share(sum(values), len(values)))

    def add_together(
        self,
        names: Sequence[str],
        cases: Sequence[Labelled],
        measure: Callable[[list[int]], Sequence[Figure | None]],
    ) -> None:
        """Measure several figures at once, given the indices of all cases and then those of each sport.

        What cannot be measured of a group, for which `measure` gives None, is left out of the group's table.
        """
        for figures, members in self._groups(cases, self.by_sport):
            found = zip(names, measure(members), strict=True)
            figures.update({name: figure for name, figure in found if figure is not None})

    def _groups(
        self, cases: Sequence[Labelled], *tables: dict[str, dict[str, Figure]]
    ) -> list[tuple[dict[str, Figure], list[int]]]:
        """What to fill and the indices of its cases: all of them, and those of each group of the tables."""
        groups: list[tuple[dict[str, Figure], list[int]]] = [(self.overall, list(range(len(cases))))]
        for table in tables:
            members: dict[str, list[int]] = defaultdict(list)
            for index, case in enumerate(cases):
                group = case.sport if table is self.by_sport else case.label
                if group is not None:
                    members[group].append(index)
            groups += [(table[group], indices) for group, indices in members.items()]
        return groups

    def skip(self, names: Sequence[str], reason: str) -> None:
        """Say why figures could not be measured."""
        self.absent.update(dict.fromkeys(names, reason))

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "figures": _dumped(self.overall),
            "absent": self.absent,
            "by_sport": {sport: _dumped(figures) for sport, figures in sorted(self.by_sport.items())},
            "by_label": {label: _dumped(figures) for label, figures in sorted(self.by_label.items())},
            "confusion": self.confusions,
        }


def _dumped(figures: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.model_dump(mode="json") for name, figure in figures.items()}
