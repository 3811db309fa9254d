"""The figures of a report, those that could not be measured with the reason, and the tables behind them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from posellm_assets.evaluation.metrics import Figure

Value = TypeVar("Value")


class Labelled(Protocol):
    """What figures are grouped by: a clip, or a motion that was generated."""

    @property
    def sport(self) -> str: ...

    @property
    def label(self) -> str | None: ...


class Figures:
    """Collects figures by name, for everything and for each sport and label."""

    def __init__(self) -> None:
        self.overall: dict[str, Figure] = {}
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
        """Measure the values of all cases, and those of each sport and each label."""
        sports: dict[str, list[Value]] = defaultdict(list)
        labels: dict[str, list[Value]] = defaultdict(list)
        for case, value in zip(cases, values, strict=True):
            sports[case.sport].append(value)
            if case.label is not None:
                labels[case.label].append(value)
        self.overall[name] = measure(values)
        for table, groups in ((self.by_sport, sports), (self.by_label, labels)):
            for group, members in groups.items():
                table[group][name] = measure(members)

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
