"""The report in small, for the metadata of a run: a table of the headline figures.

The report in full, a page of HTML, is made in `report.py`.
"""

from collections.abc import Mapping
from typing import Any

from posellm_assets.reports.markdown import escaped, table
from posellm_assets.reports.tables import LAYOUTS, Column, TableLayout, bounds, format_figure, sample

# Name, what it is, whether it is a share, and the figures that it is to be read beside.
HEADLINES: tuple[tuple[str, str, bool, tuple[tuple[str, str], ...]], ...] = (
    (
        "recognised_sentences",
        "Asked in a sentence that it was never taught, the model gives a motion recognised as what was asked for",
        True,
        (
            ("recognised_sentences_en", "of them in English"),
            ("recognised_sentences_es", "of them in Spanish"),
            ("recognised_sentences_zh", "of them in Chinese"),
            ("recognised_labels", "asked by the bare label"),
            ("recognised_nearest", "retrieval: nearest training text's motion"),
            ("recognised_reconstructed", "ceiling: real motion after the tokenizer"),
            ("recognised_real", "real motion"),
            ("recognised_chance", "chance"),
        ),
    ),
    (
        "naming_accuracy",
        "The text about a held-out motion names its movement",
        True,
        (
            ("naming_nearest_neighbour", "nearest training clip"),
            ("naming_majority", "commonest label"),
            ("naming_chance", "chance"),
        ),
    ),
    (
        "scoring_accuracy",
        "The likeliest label of a held-out motion is its own",
        True,
        (("naming_nearest_neighbour", "nearest training clip"), ("naming_chance", "chance")),
    ),
    ("valid_share", "A generated motion can be decoded", True, ()),
    (
        "r_precision_3_generated",
        "The held-out text that a motion was generated from is among the 3 nearest to it",
        True,
        (
            ("r_precision_3_real", "real motion"),
            ("r_precision_3_reconstructed", "real, after the tokenizer"),
            ("r_precision_3_nearest", "nearest training clip by text"),
            ("r_precision_3_chance", "chance"),
        ),
    ),
    (
        "nll_per_code",
        "Surprise at held-out motion given its text (nats per code, lower is better)",
        False,
        (
            ("nll_per_code_without_text", "without the text"),
            ("nll_per_code_bigram", "bigram"),
            ("nll_per_code_unigram", "unigram"),
        ),
    ),
    (
        "edit_distance_generated",
        "Edit distance to the nearest held-out take (0 the same, 1 nothing shared)",
        False,
        (("edit_distance_real", "another take (floor)"), ("edit_distance_shuffled", "takes of other labels")),
    ),
)


def summary_markdown(metrics: Mapping[str, Any]) -> str:
    """A Markdown table of the headline figures, their baselines and sample sizes, and what could not be measured."""
    figures = metrics["figures"]
    rows = []
    for name, title, is_share, beside in HEADLINES:
        if name in figures:
            others = [
                f"{words} {format_figure(figures[other]['value'], is_share)}"
                for other, words in beside
                if other in figures
            ]
            figure = figures[name]
            value, interval = format_figure(figure["value"], is_share), bounds(figure, is_share)
            between = f" ({interval})" if interval else ""
            rows.append([title, f"{value}{between}", ", ".join(others), sample(figure)])
    tables = [table(["figure", "value", "beside it", "n"], rows)]
    tables += [_table(layout, figures) for layout in LAYOUTS if layout.present(figures)]
    missing = [
        f"- not measured ({', '.join(names)}): {escaped(reason)}" for reason, names in reasons(metrics["absent"])
    ]
    decision = metrics.get("decision")
    verdict = []
    if decision:
        fit = "Fit for release" if decision["promote"] else "Not fit for release"
        verdict = [f"\n{fit}: {escaped(' '.join(decision['reasons']))}"]
    return "\n".join(["\n\n".join(tables), *([""] if missing else []), *missing, *verdict])


def reasons(absent: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Each reason once, with the figures that it explains."""
    return [
        (reason, [name for name, why in absent.items() if why == reason]) for reason in dict.fromkeys(absent.values())
    ]


def _table(layout: TableLayout, figures: Mapping[str, Any]) -> str:
    def cell(row: str, column: Column) -> str:
        figure = layout.figure(figures, row, column)
        return f"{format_figure(figure['value'], column.is_share)} ({sample(figure)})" if figure else ""

    heads = [layout.title, *(column.heading for column in layout.columns)]
    return table(heads, ([title, *(cell(row, column) for column in layout.columns)] for row, title in layout.rows))
