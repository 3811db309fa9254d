"""How familiar a motion is: whether it is like anything that was taught, whatever a classifier makes of it.

A classifier is no help there: a linear one is the surer the farther a motion lies from all that it learned. So each
class is a cloud of motion statistics (`posture.statistics`) in the directions in which the taught motions vary most,
the clouds have one shape, and what counts is Mahalanobis' distance to the nearest (Lee et al. 2018). Distances are read
against those of clips by people that were not learned from: familiarity is 1 at no distance, `FAMILIAR` where `KEPT`
of those clips are nearer.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from posellm_assets.actions.members.classifier import SHORTEST_S, LabelledMotion, views
from posellm_assets.actions.members.posture import statistics
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion

FAMILIARITY = "familiarity"
FAMILIAR = 0.5
"""What is less familiar is none of the classes."""
KEPT = 0.9
"""The share of clips of the known classes that is to be familiar enough."""
ENOUGH = 40
"""Clips of other people than those learned from; where there are fewer the training clips are asked about as well."""
_FOLDS = 5
_COMPONENTS = 60
_ROWS_PER_COMPONENT = 4
_PARTS_TAUGHT = 6  # of a long motion, evenly spaced
_SMALLEST_DEVIATION = 0.02
_SHRINKAGE = 1e-3  # of the clouds' covariance towards a round one

Parts = Callable[[Motion], list[Motion]]
"""The parts in which a motion without gaps is asked about, each of three frames or more: itself where it is short."""
_ClassRows = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Clouds:
    """Classes as clouds of one shape: `whitening` (F, K) takes scaled statistics to where the clouds are round and of
    size 1, `means` (C, K) are their middles there."""

    mean: np.ndarray
    deviation: np.ndarray
    whitening: np.ndarray
    means: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, numbers: np.ndarray) -> "Clouds":
        """Of (N, F) rows and their (N,) class numbers, which are all in use."""
        mean, deviation = rows.mean(0), rows.std(0) + _SMALLEST_DEVIATION
        scaled = (rows - mean) / deviation
        components = max(1, min(_COMPONENTS, len(rows) // _ROWS_PER_COMPONENT, scaled.shape[1]))
        directions = np.linalg.svd(scaled, full_matrices=False)[2][:components].T
        placed = scaled @ directions
        middles = np.stack([placed[numbers == number].mean(0) for number in range(numbers.max() + 1)])
        apart = placed - middles[numbers]
        covariance = apart.T @ apart / len(rows)
        covariance += (_SHRINKAGE * np.trace(covariance) / components + 1e-9) * np.eye(components)
        rounded = np.linalg.inv(np.linalg.cholesky(covariance)).T
        return cls(mean, deviation, directions @ rounded, middles @ rounded)

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """(N, C) distances of (N, F) rows from the classes."""
        placed = ((rows - self.mean) / self.deviation) @ self.whitening
        return np.asarray(np.linalg.norm(placed[:, None] - self.means, axis=2))


class Familiarity:
    """See the module. `limit` is the distance at which a motion is just familiar enough."""

    def __init__(self, classes: Sequence[str], clouds: Clouds, limit: float):
        self.classes, self.clouds, self.limit = tuple(classes), clouds, limit

    @classmethod
    def fit(
        cls, taught: Sequence[LabelledMotion], held_out: Sequence[LabelledMotion], parts: Parts, seed: int = 0
    ) -> tuple["Familiarity", int]:
        """Learn from motions as they are asked about; returns the number of clips that set the limit as well.

        `held_out` are motions of the same classes by other people. Where they are fewer than `ENOUGH` the taught ones
        set the limit too, each as far as it is for clouds that were fitted without its group. Raises ValueError where
        nothing can set it.
        """
        rows = [_rows(example, parts, np.random.default_rng([seed, place])) for place, example in enumerate(taught)]
        whole = cls._of(rows)
        far = [whole.distance(example.motion, parts) for example in held_out]
        if len(far) < ENOUGH:
            groups = sorted({example.group for example in taught})
            fold_of = {group: place % _FOLDS for place, group in enumerate(_shuffled(groups, seed))}
            for fold in range(_FOLDS):
                others = [own for own, one in zip(rows, taught, strict=True) if fold_of[one.group] != fold]
                without = cls._of(others) if others else None
                far += [
                    without.distance(one.motion, parts)
                    for one in taught
                    if without and fold_of[one.group] == fold and one.class_id in without.classes
                ]
        if not far:
            raise ValueError("all clips are of one person or match, so there is no other to set its limit by")
        return cls(whole.classes, whole.clouds, _limit(far)), len(far)

    @classmethod
    def _of(cls, rows: Sequence[_ClassRows]) -> "Familiarity":
        """Of rows by class, with a limit that nobody has set yet."""
        classes = sorted({class_id for own in rows for class_id in own})
        numbers = [classes.index(class_id) for own in rows for class_id, several in own.items() for _ in several]
        together = [row for own in rows for several in own.values() for row in several]
        return cls(classes, Clouds.fit(np.stack(together), np.array(numbers)), 1.0)

    def distance(self, motion: Motion, parts: Parts) -> float:
        """Of a motion from the nearest class: the median over the parts in which it is asked about."""
        rows = np.stack([statistics(part) for part in parts(motion)])
        return float(np.median(self.clouds.distances(rows).min(axis=1)))

    def of(self, motions: Iterable[Motion | None], among: Collection[str] | None = None) -> list[float | None]:
        """The familiarity of each motion, from 0 to 1, with these of the classes or all of them.

        None where a motion is missing or has no stretch of `SHORTEST_S` seconds; of one with gaps the longest counts.
        """
        asked = [place for place, class_id in enumerate(self.classes) if among is None or class_id in among]
        return [self._one(motion, asked) for motion in motions]

    def _one(self, motion: Motion | None, asked: Sequence[int]) -> float | None:
        stretches = motion.segments(SHORTEST_S) if motion is not None else []
        if not stretches or not asked:
            return None
        row = statistics(max(stretches, key=len))
        far = float(self.clouds.distances(row[None])[0, asked].min())
        return 1 / (1 + (far / self.limit) ** 2)

    def save(self, folder: Path) -> None:
        """Write `familiarity.json` and `familiarity.safetensors`."""
        parts = {name: np.ascontiguousarray(value) for name, value in vars(self.clouds).items()}
        write_bytes(folder / "familiarity.safetensors", save(parts))
        write_json(folder / "familiarity.json", {"classes": list(self.classes), "limit": self.limit})

    @classmethod
    def load(cls, folder: Path) -> "Familiarity":
        """Read what `save` wrote; FileNotFoundError where there is nothing."""
        about = read_json(folder / "familiarity.json")
        clouds = Clouds(**load((folder / "familiarity.safetensors").read_bytes()))
        return cls(about["classes"], clouds, about["limit"])


def _rows(example: LabelledMotion, parts: Parts, rng: np.random.Generator) -> _ClassRows:
    """The statistics of a motion as it may be met: whole, cropped, in some of its parts, and all that mirrored."""
    rows = _ClassRows()
    for motion, class_id in views(example, rng):
        rows.setdefault(class_id, []).append(statistics(motion))
    mirrored = [(mirror(example.motion), example.mirrored_id)] if example.mirrored_id is not None else []
    for motion, class_id in [(example.motion, example.class_id), *mirrored]:
        several = parts(motion)
        for place in np.unique(np.linspace(0, len(several) - 1, _PARTS_TAUGHT).astype(int)) if len(several) > 1 else []:
            rows.setdefault(class_id, []).append(statistics(several[place]))
    return rows


def _shuffled(groups: Sequence[str], seed: int) -> list[str]:
    return [groups[place] for place in np.random.default_rng(seed).permutation(len(groups))]


def _limit(distances: Sequence[float]) -> float:
    """The distance under which `KEPT` of new clips like these are to be expected; the largest where they are too few.

    A conformal quantile (Vovk et al. 2005).
    """
    place = min(math.ceil((len(distances) + 1) * KEPT), len(distances))
    return sorted(distances)[place - 1]
