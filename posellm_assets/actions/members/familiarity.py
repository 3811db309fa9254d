"""How familiar a motion is: whether it is like anything that was taught, whatever a classifier makes of it.

A classifier is no help there: a linear one is the surer the farther a motion lies from all that it learned. So each
class is a cloud of motion statistics (`posture.statistics`) in the directions in which the taught motions vary most,
the clouds have one shape but a size each, and what counts is Mahalanobis' distance to the nearest (Lee et al. 2018) in
its cloud's size: whoever holds a plank is near other planks, and what is as far from them as one squat from another is
no plank. Distances are read against a limit that keeps most clips by people that were not learned from: familiarity is
1 at no distance and `opinions.FAMILIAR` at the limit.
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
KEPT = 0.95
"""The share of clips of the known classes that is to be familiar enough where the limit is set; 0.9 of new ones are."""
ENOUGH = 40
"""Clips of other people than those learned from; where there are fewer the training clips are asked about as well."""
_FOLDS = 40  # as many as there are people, for most: with fewer to learn from all are farther away
_COMPONENTS = 40
_ROWS_PER_COMPONENT = 4
_WINDOWS_TAUGHT = 6  # of a motion, evenly spaced
_SMALLEST_DEVIATION = 0.02
_SHRINKAGE = 0.03  # of the clouds' covariance towards a round one
_CLIPS_OF_ANY_SIZE = 4  # so many clips tell as much of a class's size as the size of all classes does
_ClassRows = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Clouds:
    """Classes as clouds of one shape: `whitening` (F, K) takes scaled statistics to where the clouds are round and of
    size 1, `means` (C, K) are their middles there, infinitely far where a class has no row."""

    mean: np.ndarray
    deviation: np.ndarray
    whitening: np.ndarray
    means: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, numbers: np.ndarray, weights: np.ndarray, classes: int) -> "Clouds":
        """Of (N, F) rows, their (N,) class numbers below `classes` and how much each counts."""
        weights = weights / weights.sum()
        mean = weights @ rows
        deviation = np.sqrt(weights @ (rows - mean) ** 2) + _SMALLEST_DEVIATION
        scaled = (rows - mean) / deviation
        components = max(1, min(_COMPONENTS, len(rows) // _ROWS_PER_COMPONENT, scaled.shape[1]))
        directions = np.linalg.eigh((scaled.T * weights) @ scaled)[1][:, ::-1][:, :components]
        placed = scaled @ directions
        middles = np.full((classes, components), np.inf)
        for number in np.unique(numbers):
            own = numbers == number
            middles[number] = np.average(placed[own], axis=0, weights=weights[own])
        apart = placed - middles[numbers]
        covariance = (apart.T * weights) @ apart
        size = np.trace(covariance) / components
        covariance = (1 - _SHRINKAGE) * covariance + (_SHRINKAGE * size + 1e-9) * np.eye(components)
        rounded = np.linalg.inv(np.linalg.cholesky(covariance)).T
        known = np.isfinite(middles[:, :1])
        means = np.where(known, np.where(known, middles, 0.0) @ rounded, np.inf)
        return cls(mean, deviation, directions @ rounded, means)

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """(N, C) distances of (N, F) rows from the classes."""
        placed = ((rows - self.mean) / self.deviation) @ self.whitening
        return np.asarray(np.linalg.norm(placed[:, None] - self.means, axis=2))


class Familiarity:
    """See the module. `sizes` (C,) says how far clips of a class lie from its middle, `limit` is the distance in sizes
    at which a motion is just familiar enough.

    A motion is looked at in `windows`, whatever its length, and the median of their distances counts: so a limit that
    was set on short clips holds in long videos.
    """

    def __init__(self, classes: Sequence[str], windows: WindowConfig, clouds: Clouds, sizes: np.ndarray, limit: float):
        self.classes, self.windows, self.clouds = tuple(classes), windows, clouds
        self.sizes, self.limit = sizes, limit

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
        set sizes and limit too, each as far as it is for clouds that were fitted without its group. What is to be kept
        out are `others`, of no class that is taught, and the motions of each class for clouds that were fitted without
        it. Raises ValueError where nothing can set the limit.
        """
        rows = [_rows(example, windows, np.random.default_rng([seed, place])) for place, example in enumerate(taught)]
        classes = sorted({class_id for own in rows for class_id in own})
        looked_at = [_seen(example.motion, windows) for example in taught]
        whole = _clouds(rows, classes)
        near = [
            (classes.index(one.class_id), whole.distances(_seen(one.motion, windows)))
            for one in held_out
            if one.class_id in classes
        ]
        if len(near) < ENOUGH:
            near += _cross_validated(taught, rows, looked_at, classes, seed)
        if not near:
            raise ValueError("all clips are of one person or match, so there is no other to set its limit by")
        far = [whole.distances(_seen(motion, windows)) for motion in others]
        for class_id in classes if len(classes) > 1 else ():
            clouds = _clouds([{name: own[name] for name in own if name != class_id} for own in rows], classes)
            far += [
                clouds.distances(seen) for one, seen in zip(taught, looked_at, strict=True) if one.class_id == class_id
            ]
        sizes = _sizes(near, len(classes))
        limit = _limit([_nearest(one / sizes) for _, one in near], [_nearest(one / sizes) for one in far])
        return cls(classes, windows, whole, sizes, limit), len(near)

    def distance(self, motion: Motion, among: Collection[str] | None = None) -> float:
        """Of a motion without gaps from the nearest of these classes, or of all; infinite where none is known."""
        asked = [place for place, class_id in enumerate(self.classes) if among is None or class_id in among]
        return _nearest((self.clouds.distances(_seen(motion, self.windows)) / self.sizes)[:, asked])

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
        arrays = {**vars(self.clouds), "sizes": self.sizes}
        parts = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        write_bytes(folder / "familiarity.safetensors", save(parts))
        about = {"classes": list(self.classes), "limit": self.limit, "windows": self.windows.model_dump()}
        write_json(folder / "familiarity.json", about)

    @classmethod
    def load(cls, folder: Path) -> "Familiarity":
        """Read what `save` wrote; FileNotFoundError where there is nothing."""
        about = read_json(folder / "familiarity.json")
        arrays = load((folder / "familiarity.safetensors").read_bytes())
        sizes = arrays.pop("sizes", np.ones(1))  # of one size all, in what was written before classes had their own
        windows = WindowConfig.model_validate(about["windows"])
        return cls(about["classes"], windows, Clouds(**arrays), sizes, about["limit"])


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


def _clouds(rows: Sequence[_ClassRows], classes: Sequence[str]) -> Clouds:
    """Of the rows of clips, each of which counts once, however long it is."""
    found = [
        (row, classes.index(class_id), 1 / sum(map(len, own.values())))
        for own in rows
        for class_id, several in own.items()
        for row in several
    ]
    statistics_of, numbers, weights = zip(*found, strict=True)
    return Clouds.fit(np.stack(statistics_of), np.array(numbers), np.array(weights), len(classes))


def _cross_validated(
    taught: Sequence[LabelledMotion],
    rows: Sequence[_ClassRows],
    looked_at: Sequence[np.ndarray],
    classes: Sequence[str],
    seed: int,
) -> list[tuple[int, np.ndarray]]:
    """(class, (W, C) distances) of each motion for clouds without its group, where those know its class."""
    groups, found = sorted({example.group for example in taught}), []
    fold_of = {group: place % _FOLDS for place, group in enumerate(_shuffled(groups, seed))}
    for fold in range(min(_FOLDS, len(groups)) if len(groups) > 1 else 0):
        inside = [fold_of[one.group] == fold for one in taught]
        clouds = _clouds([own for own, is_in in zip(rows, inside, strict=True) if not is_in], classes)
        for one, seen, is_in in zip(taught, looked_at, inside, strict=True):
            number = classes.index(one.class_id)
            if is_in and np.isfinite(clouds.means[number]).all():
                found.append((number, clouds.distances(seen)))
    return found


def _seen(motion: Motion, windows: WindowConfig) -> np.ndarray:
    """(W, F) statistics of a motion's windows."""
    return np.stack([statistics(part) for part in parts_of(motion, windows)])


def _nearest(distances: np.ndarray) -> float:
    """The median over (W, C) windows of their distances from the nearest class."""
    return float(np.median(distances.min(axis=1, initial=math.inf)))


def _sizes(near: Sequence[tuple[int, np.ndarray]], classes: int) -> np.ndarray:
    """(C,) the distance of a class's clips from its own middle: their median in the logarithm, and where they are few
    rather that of all."""
    own = np.log([np.median(distances[:, number]) for number, distances in near])
    numbers, every = np.array([number for number, _ in near]), float(np.median(own))
    sizes = np.full(classes, every)
    for number in np.unique(numbers):
        mine = own[numbers == number]
        sizes[number] = np.average([np.median(mine), every], weights=[len(mine), _CLIPS_OF_ANY_SIZE])
    return np.exp(sizes)


def _limit(near: Sequence[float], far: Sequence[float]) -> float:
    """The distance that keeps `KEPT` of the known clips, and a quarter of the way (in the logarithm) from there to the
    nearest of the others beyond: what else there is may be nearer than these others."""
    least = float(np.quantile(near, KEPT))
    beyond = min((distance for distance in far if distance > least), default=least)
    return float(least**0.75 * beyond**0.25)
