"""What each generation still knows: every sport and task beside every generation, on the same held-out cases."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from posellm_assets.evaluation.cases import Case, figure_of

TASKS: tuple[tuple[str, str, bool], ...] = (
    ("naming_accuracy", "motion to text: movement named", True),
    ("nll_per_code", "text to motion: nats per code", False),
    ("recognised_sentences", "text to motion: recognised by sentence", True),
    ("nll_per_code_without_text", "motion: nats per code", False),
)
"""Figure, what it says, and whether it is a share."""


def retention(generations: Mapping[str, Sequence[Case]]) -> list[dict[str, Any]]:
    """A row for each sport and task: `sport`, `figure`, and in `cells` a figure (JSON) for each generation, or None.

    `generations` are the cases of each report, oldest first, all of one tokenizer. The cells of a row are over the
    cases that all of its generations have, so that they differ by the model alone; a generation that has none of a
    sport, because the sport came later, has no figure. A row in which no case is common is left out.
    """
    sports = sorted({case.sport for cases in generations.values() for case in cases})
    rows = []
    for figure, _, _ in TASKS:
        of_figure = {name: _by_sport(cases, figure) for name, cases in generations.items()}
        for sport in sports:
            found = {name: by_sport[sport] for name, by_sport in of_figure.items() if sport in by_sport}
            common = set.intersection(*(set(cases) for cases in found.values())) if found else set()
            if common:
                cells = {
                    name: figure_of([cases[case] for case in sorted(common)]).model_dump(mode="json")
                    for name, cases in found.items()
                }
                rows.append(
                    {"sport": sport, "figure": figure, "cells": {name: cells.get(name) for name in generations}}
                )
    return sorted(rows, key=lambda row: str(row["sport"]))


def _by_sport(cases: Sequence[Case], figure: str) -> dict[str, dict[str, Case]]:
    found: dict[str, dict[str, Case]] = defaultdict(dict)
    for case in cases:
        if case.figure == figure:
            found[case.sport][case.case] = case
    return found
