"""Curves of repetitions over one another, as what an SVG draws."""

from collections.abc import Sequence
from dataclasses import dataclass

from posellm_assets.coaching.live.measured import POINTS, MeasuredRepetition

WIDTH, HEIGHT = 280, 130


@dataclass(frozen=True)
class Line:
    """The curve of a repetition: `points` of a polyline."""

    number: int
    faulty: bool
    points: str


@dataclass(frozen=True)
class Chart:
    """A quantity over all repetitions, from `low` to `high` (in words, with the unit) and to `last_s` at the right."""

    title: str
    low: str
    high: str
    last_s: float
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT


def charts(repetitions: Sequence[tuple[int, float, bool, MeasuredRepetition]]) -> list[Chart]:
    """A chart for each quantity that has curves; of a repetition its number, how long it took (s), and whether
    something was wrong with it."""
    names = dict.fromkeys(name for *_, measured in repetitions for name in measured.curves)
    return [chart for name in names if (chart := _chart(name, repetitions))]


def _chart(name: str, repetitions: Sequence[tuple[int, float, bool, MeasuredRepetition]]) -> Chart | None:
    known = [(number, took_s, faulty, one.curves[name]) for number, took_s, faulty, one in repetitions
             if name in one.curves]  # fmt: skip
    values = [value for *_, curve in known for value in curve if value is not None]
    if not values:
        return None
    low, high, last_s = min(values), max(values), max(took_s for _, took_s, *_ in known)
    share = repetitions[0][3].unit == "share" and name == repetitions[0][3].quantity
    return Chart(
        title=name.replace("_", " "),
        low=_said(low, share),
        high=_said(high, share),
        last_s=last_s,
        lines=tuple(
            Line(number, faulty, _points(curve, took_s / last_s, low, high)) for number, took_s, faulty, curve in known
        ),
    )


def _said(value: float, is_share: bool) -> str:
    return f"{100 * value:.0f} %" if is_share else f"{value:.0f}°"


def _points(curve: Sequence[float | None], share: float, low: float, high: float) -> str:
    height = max(high - low, 1e-9)
    return " ".join(
        f"{WIDTH * share * place / (POINTS - 1):.1f},{HEIGHT * (1 - (value - low) / height):.1f}"
        for place, value in enumerate(curve)
        if value is not None
    )
