"""What a gate says of a model beside the one in use: comparisons case by case, and whether it is promoted.

Both models are measured on the same held-out cases. The difference is taken case by case, and its mean has the normal
95 % interval of paired differences (weighted as the figure is): what makes a case hard for both models falls out. A
figure is worse where its mean loss is more than the half-width of that interval, and more than a share, the tolerance,
of the value of the model in use, below which a difference says nothing of use.

Which figures a kind of model must keep is decided where they are measured: `evaluation.gate` for language models,
`actions.gate` for recognisers, `coaching.streaming.timing` for streaming coaches.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from posellm_assets.records import Record
from posellm_assets.reports.metrics import ANY, average, within
from posellm_assets.reports.tables import as_noun, in_words

TOLERANCE = 0.02
"""Share of the figure of the model in use below which a difference counts as none."""

Verdict = Literal["worse", "better", "not worse", "one case says nothing"]


class Comparison(Record):
    """A figure of both models on the same cases. `gain` is how much better the new one is, `interval` that of it."""

    figure: str
    of: str
    new: float
    old: float
    n: int
    gain: float
    interval: tuple[float, float] | None
    verdict: Verdict

    @property
    def told(self) -> str:
        """What became of the figure, for a sentence."""
        where = "" if self.of.startswith("all") else f" in {self.of}"
        went = "fell" if self.new < self.old else "rose"
        return f"{as_noun(self.figure)} {went}{where} ({self.old:.2f} to {self.new:.2f} of {self.n} cases)"

    def __str__(self) -> str:
        within = f"; {_signed(self.interval[0])} to {_signed(self.interval[1])}" if self.interval else ""
        return (
            f"{in_words(self.figure)} ({self.of}): {self.new:.3f} against {self.old:.3f} of the model in use on the "
            f"same {self.n} cases, {self.verdict} ({_signed(self.gain)}{within})."
        )


class GateOutcome(Record):
    """Whether to promote, why, in sentences for the user, the comparisons behind it, and the model compared with."""

    promote: bool
    reasons: tuple[str, ...]
    against: str | None
    """The name of the release that it was measured against; None where there was none."""
    comparisons: tuple[Comparison, ...] = ()

    @property
    def refusal(self) -> str:
        """Why it was refused, in half a sentence; what most cases speak of first, else the first reason."""
        worse = sorted((one for one in self.comparisons if one.verdict == "worse"), key=lambda one: -one.n)
        return "because " + worse[0].told if worse else f"with this reason: {''.join(self.reasons[:1])}"


class Rival(Record):
    """The model in use, which a report measures on the same cases."""

    name: str
    folder: Path


def compared(
    figure: str,
    of: str,
    new: Sequence[float],
    old: Sequence[float],
    *,
    tolerance: float,
    weights: Sequence[float] | None = None,
    lower_is_better: bool = False,
    is_share: bool = False,
) -> Comparison:
    """Compare the values of both models on the same cases, in the same order; ValueError where there is none.

    The interval of a gain of shares is cut to -1 to 1; the verdict rests on its whole width.
    """
    sign = -1 if lower_is_better else 1
    gain = average([sign * (now - before) for now, before in zip(new, old, strict=True)], weights, ANY)
    now, before = average(new, weights).value, average(old, weights).value
    if gain.interval is None:
        verdict: Verdict = "one case says nothing"
    else:
        verdict = verdict_of(gain.value, (gain.interval[1] - gain.interval[0]) / 2, tolerance * abs(before))
    return Comparison(
        figure=figure,
        of=of,
        new=now,
        old=before,
        n=gain.n,
        gain=gain.value,
        interval=within(gain.interval, (-1.0, 1.0)) if gain.interval and is_share else gain.interval,
        verdict=verdict,
    )


def verdict_of(gain: float, half_width: float, least: float) -> Verdict:
    """What a gain says, where less than the half-width of its interval, or than `least`, says nothing."""
    if abs(gain) <= max(half_width, least):
        return "not worse"
    return "better" if gain > 0 else "worse"


def _signed(value: float) -> str:
    return f"{value:+.3f}"
