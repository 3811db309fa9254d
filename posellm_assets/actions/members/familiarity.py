"""How familiar a motion is: whether it is like anything that was taught, whatever a classifier makes of it.

A classifier is no help there: a linear one is the surer the farther a motion lies from all that it learned. So each
class is a cloud of motion statistics (`posture.statistics`) in the directions in which the taught motions vary most,
the clouds have one shape, and what counts is Mahalanobis' distance to the nearest (Lee et al. 2018). Distances are read
against a limit that parts clips by people that were not learned from, and clips of classes that were left out:
familiarity is 1 at no distance and `opinions.FAMILIAR` at the limit.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from posellm_assets.actions.members.classifier import SHORTEST_S, LabelledMotion, views
from posellm_assets.actions.members.posture import statistics
from posellm_assets.actions.moments.config import WindowConfig
from posellm_assets.actions.moments.windows import parts_of
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion

FAMILIARITY = "familiarity"
KEPT = 0.9
"""The share of clips of the known classes that is to be familiar enough."""
ENOUGH = 40
"""Clips of other people than those learned from; where there are fewer the training clips are asked about as well."""
_FOLDS = 40  # as many as there are people, for most: with fewer to learn from all are farther away
_COMPONENTS = 60
_ROWS_PER_COMPONENT = 4
_WINDOWS_TAUGHT = 6  # of a motion, evenly spaced
_SMALLEST_DEVIATION = 0.02
_WORSE = 4.0  # to name what is unknown than to refuse what is known
_SHRINKAGE = 1e-3  # of the clouds' covariance towards a round one
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
        directions = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :components]
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
    """See the module. `limit` is the distance at which a motion is just familiar enough.

    A motion is looked at in `windows`, whatever its length, and the median of their distances counts: so a limit that
    was set on short clips holds in long videos.
    """

    def __init__(self, classes: Sequence[str], windows: WindowConfig, clouds: Clouds, limit: float):
        self.classes, self.windows, self.clouds, self.limit = tuple(classes), windows, clouds, limit

    @classmethod
    def fit(
        cls,
        taught: Sequence[LabelledMotion],
        held_out: Sequence[LabelledMotion],
        others: Sequence[Motion],
        windows: WindowConfig,
        seed: int = 0,
    ) -> tuple["Familiarity", int]:
        """Learn from motions without gaps; returns the number of clips of known classes that set the limit as well.

        `held_out` are motions of the same classes by other people. Where they are fewer than `ENOUGH` the taught ones
        set the limit too, each as far as it is for clouds that were fitted without its group. What is to be kept out
        are `others`, of no class that is taught, and the motions of each class for clouds that were fitted without it.
        Raises ValueError where nothing can set the limit.
        """
        rows = [_rows(example, windows, np.random.default_rng([seed, place])) for place, example in enumerate(taught)]
        whole = cls._of(rows, windows)
        near = [whole.distance(example.motion) for example in held_out]
        if len(near) < ENOUGH:
            groups = sorted({example.group for example in taught})
            fold_of = {group: place % _FOLDS for place, group in enumerate(_shuffled(groups, seed))}
            for fold in range(min(_FOLDS, len(groups))):
                others_rows = [own for own, one in zip(rows, taught, strict=True) if fold_of[one.group] != fold]
                without = cls._of(others_rows, windows) if others_rows else None
                near += [
                    without.distance(one.motion)
                    for one in taught
                    if without and fold_of[one.group] == fold and one.class_id in without.classes
                ]
        if not near:
            raise ValueError("all clips are of one person or match, so there is no other to set its limit by")
        far = [whole.distance(motion) for motion in others]
        for class_id in whole.classes if len(whole.classes) > 1 else ():
            without = cls._of([{name: own[name] for name in own if name != class_id} for own in rows], windows)
            far += [without.distance(one.motion) for one in taught if one.class_id == class_id]
        return cls(whole.classes, windows, whole.clouds, _limit(near, far)), len(near)

    @classmethod
    def _of(cls, rows: Sequence[_ClassRows], windows: WindowConfig) -> "Familiarity":
        """Of rows by class, with a limit that nobody has set yet."""
        classes = sorted({class_id for own in rows for class_id in own})
        numbers = [classes.index(class_id) for own in rows for class_id, several in own.items() for _ in several]
        together = [row for own in rows for several in own.values() for row in several]
        return cls(classes, windows, Clouds.fit(np.stack(together), np.array(numbers)), 1.0)

    def distance(self, motion: Motion, among: Collection[str] | None = None) -> float:
        """Of a motion without gaps from the nearest of these classes, or of all; infinite where none is known."""
        asked = [place for place, class_id in enumerate(self.classes) if among is None or class_id in among]
        rows = np.stack([statistics(part) for part in parts_of(motion, self.windows)])
        return float(np.median(self.clouds.distances(rows)[:, asked].min(axis=1, initial=math.inf)))

    def of(self, motions: Iterable[Motion | None], among: Collection[str] | None = None) -> list[float | None]:
        """The familiarity of each motion, from 0 to 1, with these of the classes or all of them.

        None where a motion is missing or has no stretch of `SHORTEST_S` seconds; of one with gaps the longest counts.
        """
        return [self._one(motion, among) for motion in motions]

    def _one(self, motion: Motion | None, among: Collection[str] | None) -> float | None:
        stretches = motion.segments(SHORTEST_S) if motion is not None else []
        if not stretches:
            return None
        return 1 / (1 + (self.distance(max(stretches, key=len), among) / self.limit) ** 2)

    def save(self, folder: Path) -> None:
        """Write `familiarity.json` and `familiarity.safetensors`."""
        parts = {name: np.ascontiguousarray(value) for name, value in vars(self.clouds).items()}
        write_bytes(folder / "familiarity.safetensors", save(parts))
        about = {"classes": list(self.classes), "limit": self.limit, "windows": self.windows.model_dump()}
        write_json(folder / "familiarity.json", about)

    @classmethod
    def load(cls, folder: Path) -> "Familiarity":
        """Read what `save` wrote; FileNotFoundError where there is nothing."""
        about = read_json(folder / "familiarity.json")
        clouds = Clouds(**load((folder / "familiarity.safetensors").read_bytes()))
        return cls(about["classes"], WindowConfig.model_validate(about["windows"]), clouds, about["limit"])


def _rows(example: LabelledMotion, windows: WindowConfig, rng: np.random.Generator) -> _ClassRows:
    """The statistics of a motion as it may be met: whole, cropped, in some of its windows, and all that mirrored."""
    rows = _ClassRows()
    for motion, class_id in views(example, rng):
        rows.setdefault(class_id, []).append(statistics(motion))
    mirrored = [(mirror(example.motion), example.mirrored_id)] if example.mirrored_id is not None else []
    for motion, class_id in [(example.motion, example.class_id), *mirrored]:
        several = parts_of(motion, windows)
        for place in (
            np.unique(np.linspace(0, len(several) - 1, _WINDOWS_TAUGHT).astype(int)) if len(several) > 1 else []
        ):
            rows.setdefault(class_id, []).append(statistics(several[place]))
    return rows


def _shuffled(groups: Sequence[str], seed: int) -> list[str]:
    return [groups[place] for place in np.random.default_rng(seed).permutation(len(groups))]


def _limit(near: Sequence[float], far: Sequence[float]) -> float:
    """The distance that parts known clips from others best, of those that keep at least `KEPT` of the known.

    Best is the least sum of the share of known clips beyond and `_WORSE` times that of others within. Between the clips
    that it parts it lies a quarter of the way (in the logarithm) from the known, because what else there is may be
    nearer than these others; where there are none it keeps `KEPT`.
    """
    known, others = np.sort(near), np.sort(far)
    least = float(np.quantile(known, KEPT))
    if not len(others):
        return least
    edges = np.unique([least, *known[known > least], *others[others > least]])
    wrong = [float((known > edge).mean() + _WORSE * (others <= edge).mean()) for edge in edges]
    best = int(np.argmin(wrong))
    return float(edges[best] ** 0.75 * edges[min(best + 1, len(edges) - 1)] ** 0.25)
