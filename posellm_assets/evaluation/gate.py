"""Whether a model is released: a pure function of its figures and those of the model that is released now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posellm_assets.evaluation.config import GateConfig

_LOWER_IS_BETTER = ("nll_per_code", "length_error", "edit_distance", "fid", "mm_dist")


@dataclass(frozen=True)
class Decision:
    """Whether to release, and why, in sentences for the user."""

    promote: bool
    reasons: tuple[str, ...]


def decide(metrics: Mapping[str, Any], champion: Mapping[str, Any] | None, gate: GateConfig) -> Decision:
    """Release a first model; release a later one only if no retained figure is worse than the champion's.

    Args:
        metrics: the contents of a report's metrics.json.
        champion: the same for the released model, measured on the same clips where that was possible; None where no
            model is released.
        gate: which figures are retained.

    A figure is worse where it lies on the wrong side of the champion's by more than the half-width of the champion's
    interval (or, without one, `gate.tolerance` of its value). A figure that the champion has and the new model lacks
    counts as worse; one that both lack is left out, and if nothing can be compared the champion stays.
    """
    if champion is None:
        return Decision(True, ("This is the first model; there is none to compare it with.",))
    worse: list[str] = []
    kept: list[str] = []
    left_out: list[str] = []
    for name in gate.retained:
        new, old = metrics["figures"].get(name), champion["figures"].get(name)
        if old is None:
            left_out.append(f"{name} was not measured for the champion.")
        elif new is None:
            why = metrics.get("absent", {}).get(name, "no reason is given")
            worse.append(f"{name} is {old['value']:.3f} for the champion and could not be measured here: {why}.")
        else:
            margin = _margin(old, gate)
            loss = (new["value"] - old["value"]) * (1 if lower_is_better(name) else -1)
            sentence = (
                f"{name}: {new['value']:.3f} (n={new['n']}) against the champion's {old['value']:.3f} "
                f"(n={old['n']}, margin {margin:.3f})"
            )
            (worse if loss > margin else kept).append(f"{sentence}, {'worse' if loss > margin else 'not worse'}.")
    if not worse and not kept:
        reason = "No retained figure exists for both models, so the champion stays until one can be compared."
        return Decision(False, (reason, *left_out))
    return Decision(not worse, (*worse, *kept, *left_out))


def lower_is_better(name: str) -> bool:
    """Whether a figure of a report is better where it is smaller."""
    return name.startswith(_LOWER_IS_BETTER)


def _margin(figure: Mapping[str, Any], gate: GateConfig) -> float:
    interval = figure.get("interval")
    if interval is None:
        return gate.tolerance * abs(figure["value"])
    return (interval[1] - interval[0]) / 2
