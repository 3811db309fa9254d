"""Loss curves of the training stages, as they lie in `losses.jsonl`."""

import json
from pathlib import Path

Curve = list[tuple[int, float]]


def read_losses(path: Path) -> Curve:
    """(step, loss) for every line of a `losses.jsonl`, of a repeated step (a resumed run) the last one.

    Raises FileNotFoundError where the stage wrote none, ValueError naming the line that is not a loss.
    """
    losses: dict[int, float] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(line)
            losses[int(entry["step"])] = float(entry["loss"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number} is not a loss ({error!r}): {line[:80]}") from error
    return sorted(losses.items())


def smoothed(curve: Curve, points: int = 200) -> Curve:
    """The curve as means over at most `points` equal stretches, so that a long training stays a short drawing."""
    size = max(1, -(-len(curve) // points))
    stretches = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in stretches]
