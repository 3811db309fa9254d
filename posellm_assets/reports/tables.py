"""The two tables of a report as data: which figure stands in which row and column, and how it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A measure: the stem of its figures' names, its heading, and which way is better (or none is)."""

    name: str
    heading: str
    better: str
    is_share: bool = True


@dataclass(frozen=True)
class TableLayout:
    """Rows by the ending of their figures' names, columns by the beginning; a few figures have names of their own."""

    title: str
    rows: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    names: Mapping[tuple[str, str], str]

    def figure(self, figures: Mapping[str, Any], row: str, column: Column) -> Mapping[str, Any] | None:
        """The figure of a cell, where it was measured."""
        return figures.get(self.names.get((column.name, row), f"{column.name}_{row}"))

    def present(self, figures: Mapping[str, Any]) -> bool:
        """Whether any cell was measured."""
        return any(self.figure(figures, row, column) for row, _ in self.rows for column in self.columns)


_PRECISION = tuple(Column(f"r_precision_{k}", f"R@{k}", "higher") for k in (1, 2, 3))
_MM_DIST = Column("mm_dist", "MM-Dist", "lower", is_share=False)

T2M = TableLayout(
    title="Motion from text",
    rows=(
        ("generated", "this model"),
        ("real", "real motion"),
        ("reconstructed", "real, after the tokenizer (ceiling)"),
        ("nearest", "nearest training clip by text"),
        ("shuffled", "real motion of another text"),
        ("chance", "a guess"),
    ),
    columns=(
        *_PRECISION,
        _MM_DIST,
        Column("fid", "FID", "lower", is_share=False),
        Column("diversity", "Diversity", "as real", is_share=False),
        Column("multimodality", "MModality", "", is_share=False),
        Column("edit_distance", "edit distance", "lower", is_share=False),
        Column("length_error", "length error", "lower", is_share=False),
        Column("valid", "valid", "higher"),
        Column("distinct_1", "distinct-1", "as real"),
        Column("distinct_2", "distinct-2", "as real"),
    ),
    notes=(
        "R-Precision (R@k), MM-Dist, FID, Diversity and MModality (Guo et al. 2022) are measured in the space of this "
        "report's evaluator and cannot be compared with published ones. Where a figure says 20×, its interval is that "
        "of the mean over 20 choices of batches, pairs and draws with the same clips (none, where all 20 came out the "
        "same); the other intervals are over the n cases.",
        "FID is from motions of one half of the held-out texts to real ones of the other half (n in either), with "
        "shrunk covariances; the row “real motion” is the floor, as near as another real sample comes.",
        "Edit distance and length error are against the held-out takes of the same label; the row “real motion” is the "
        "floor: what training takes of that label, by other people, reach. A length error of 1 is the whole median "
        "length of those takes.",
    ),
    names={("valid", "generated"): "valid_share"},
)

M2T = TableLayout(
    title="Text from motion",
    rows=(
        ("said", "this model"),
        ("said_real", "a text of the clip itself"),
        ("said_reconstructed", "the same, motion after the tokenizer (ceiling)"),
        ("said_nearest", "nearest training clip by motion"),
        ("said_shuffled", "text of another clip"),
        ("said_majority", "commonest label"),
        ("said_chance", "a guess"),
    ),
    columns=(
        Column("label", "names the label", "higher"),
        *_PRECISION,
        _MM_DIST,
        Column("bleu", "BLEU", "higher"),
        Column("rouge_l", "ROUGE-L", "higher"),
        Column("chrf", "chrF", "higher"),
    ),
    notes=(
        "The last text of each clip is the row “a text of the clip itself”; all rows are compared with the clip's "
        "other texts. Captions tell one movement in several phrasings, so even that row is far from 100 %.",
        "R-Precision ranks the texts of a batch by how near they lie to the real motion; a text that is said of "
        "several motions counts against each of them.",
    ),
    names={
        ("label", "said_majority"): "naming_majority",
        ("label", "said_chance"): "naming_chance",
    },
)  # fmt: skip

LAYOUTS = (T2M, M2T)


# Of a model alone, outside the two tables.
OTHER_FIGURES = (
    Column("naming_accuracy", "names the movement", "higher"),
    Column("scoring_accuracy", "likeliest label", "higher"),
    Column("recognised_sentences", "asked in sentences, recognised", "higher"),
    Column("recognised_labels", "asked by bare labels, recognised", "higher"),
    Column("nll_per_code", "nats per code", "lower", is_share=False),
    Column("nll_per_code_without_text", "nats per code, without the text", "lower", is_share=False),
)


def model_figures() -> dict[str, Column]:
    """The figures that a model has of its own, by name: neither baselines nor what real motion reaches."""
    own = {column.name: column for column in OTHER_FIGURES}
    for layout in LAYOUTS:
        row = layout.rows[0][0]
        own |= {layout.names.get((column.name, row), f"{column.name}_{row}"): column for column in layout.columns}
    return own


def in_words(name: str) -> str:
    """What a figure is called where people read of it."""
    column = model_figures().get(name)
    return column.heading if column else name.replace("_", " ")


_NOUNS = {
    "naming_accuracy": "naming",
    "scoring_accuracy": "telling the likeliest movement",
    "recognised_sentences": "recognition of what was asked for in sentences",
    "recognised_labels": "recognition of what was asked for by bare labels",
    "nll_per_code": "surprise at held-out motion",
    "valid_share": "the share of motions that can be decoded",
}


def as_noun(name: str) -> str:
    """A figure as what rises and falls in a sentence."""
    return _NOUNS.get(name) or in_words(name)


def is_share(name: str) -> bool:
    """Whether a figure of a model is a share, which is written in per cent and lies between 0 and 1."""
    column = model_figures().get(name)
    return column is not None and column.is_share


def format_figure(value: float, is_share: bool) -> str:
    """A figure as it is written for people."""
    return f"{value * 100:.0f} %" if is_share else f"{value:.3f}"


def bounds(figure: Mapping[str, Any], is_share: bool) -> str:
    """The interval of a figure, or nothing."""
    if not figure.get("interval"):
        return ""
    low, high = figure["interval"]
    return f"{low * 100:.0f} to {high * 100:.0f} %" if is_share else f"{low:.3f} to {high:.3f}"


def sample(figure: Mapping[str, Any]) -> str:
    """What a figure was measured on: the number of cases, and of repeats with the same cases."""
    return f"n={figure['n']}" + (f", {figure['repeats']}×" if figure.get("repeats") else "")
