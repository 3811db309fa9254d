"""The motion classifier: an opinion from the movement alone, trained in seconds. Loads no torch."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save
from scipy.optimize import minimize

from posellm_assets.actions.members.opinions import MOTION, Opinion
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode, layout
from posellm_assets.motion.resampling import resample

SHORTEST_S = 0.4
# Of each training motion this share from a random place is learned from too: what is asked about is cut out of longer
# footage, where a movement begins and ends anywhere.
_CROPS = (0.6, 1.0)
_PARTS = 3
_BANDS_HZ = ((0.0, 0.6), (0.6, 1.5), (1.5, 3.5), (3.5, 10.0))
_SPECTRUM_FRAMES = 256
# A column that hardly varies in training must not decide anything: it is divided by at least this.
_SMALLEST_DEVIATION = 0.02


@dataclass(frozen=True)
class LabelledMotion:
    """A motion without gaps and its class; `mirrored_id` is the class of its mirror image, None where it has none.

    Motions of one `group` show the same person or match.
    """

    motion: Motion
    class_id: str
    mirrored_id: str | None
    group: str = ""


class MotionClassifier:
    """Softmax regression on statistics of a motion (`summary`)."""

    def __init__(self, classes: Sequence[str], fps: float, joints: Sequence[str], model: "SoftmaxRegression"):
        self.classes, self.fps, self.joints, self.model = tuple(classes), fps, tuple(joints), model

    @classmethod
    def fit(cls, examples: Sequence[LabelledMotion], classes: Sequence[str], seed: int = 0) -> "MotionClassifier":
        """Learn from motions of one skeleton, each also mirrored and cropped.

        A class without an example stays as unlikely as the others allow. Raises ValueError where there is nothing to
        tell apart, or skeletons differ.
        """
        if len({example.class_id for example in examples}) < 2:
            raise ValueError("the motions to learn from show fewer than two classes, so there is nothing to tell apart")
        fps, joints = examples[0].motion.fps, examples[0].motion.skeleton.joints
        rng = np.random.default_rng(seed)
        number = {class_id: index for index, class_id in enumerate(classes)}
        rows, truth = [], []
        for example in examples:
            for motion, class_id in views(example, rng):
                rows.append(summary(_fitting(motion, fps, joints)))
                truth.append(number[class_id])
        return cls(classes, fps, joints, SoftmaxRegression.fit(np.stack(rows), np.array(truth), len(number)))

    def opinions(self, motions: Iterable[Motion | None]) -> list[Opinion | None]:
        """What it thinks of each motion; nothing of one that is missing or has no stretch of `SHORTEST_S` seconds.

        Of a motion with gaps the longest stretch counts. Raises ValueError for another skeleton.
        """
        return [self._opinion(motion) for motion in motions]

    def _opinion(self, motion: Motion | None) -> Opinion | None:
        started = time.process_time()
        stretches = motion.segments(SHORTEST_S) if motion is not None else []
        if not stretches:
            return None
        row = summary(_fitting(max(stretches, key=len), self.fps, self.joints))
        log_probs = self.model.log_probs(row[None])[0].tolist()
        return Opinion(MOTION, dict(zip(self.classes, log_probs, strict=True)), time.process_time() - started)

    def save(self, folder: Path) -> None:
        """Write `classifier.json` and `classifier.safetensors`."""
        model = self.model
        weights = {"mean": model.mean, "deviation": model.deviation, "weight": model.weight, "bias": model.bias}
        write_bytes(folder / "classifier.safetensors", save({k: np.ascontiguousarray(v) for k, v in weights.items()}))
        about = {"classes": self.classes, "fps": self.fps, "joints": self.joints}
        write_json(folder / "classifier.json", json.loads(json.dumps(about)))

    @classmethod
    def load(cls, folder: Path) -> "MotionClassifier":
        """Read what `save` wrote; FileNotFoundError where there is nothing."""
        about = read_json(folder / "classifier.json")
        weights = load((folder / "classifier.safetensors").read_bytes())
        return cls(about["classes"], about["fps"], about["joints"], SoftmaxRegression(**weights))


def views(example: LabelledMotion, rng: np.random.Generator) -> Iterable[tuple[Motion, str]]:
    """The motion, a crop of it, and both mirrored."""
    whole = [(example.motion, example.class_id)]
    if example.mirrored_id is not None:
        whole.append((mirror(example.motion), example.mirrored_id))
    for motion, class_id in whole:
        yield motion, class_id
        kept = max(1, round(len(motion) * rng.uniform(*_CROPS)))
        start = int(rng.integers(len(motion) - kept + 1))
        yield motion.cut(start, start + kept), class_id


def _fitting(motion: Motion, fps: float, joints: Sequence[str]) -> Motion:
    if tuple(joints) != motion.skeleton.joints:
        raise ValueError(
            f"the classifier knows motions of {len(joints)} joints ({joints[0]}, ...), this one is of skeleton "
            f"{motion.skeleton.name} with {len(motion.skeleton)}; train a recogniser on such footage"
        )
    return resample(motion, fps)


def summary(motion: Motion) -> np.ndarray:
    """(F,) float32 statistics of a motion without gaps of three frames or more; F depends on the skeleton alone.

    Velocities count per second, so that motions of different frame rates can be compared.
    """
    features = encode(motion)
    parts = layout(motion.skeleton)
    for group in (parts.yaw_velocity, parts.planar_velocity, parts.velocities):
        features[:, group] *= motion.fps
    rows = [features.min(0), features.max(0)]
    for part in [features, *np.array_split(features, _PARTS)]:
        rows += [part.mean(0), part.std(0)]
    rows.append(np.abs(np.diff(features, axis=0)).mean(0) * motion.fps)
    return np.concatenate([*rows, *_amplitudes(features - features.mean(0), motion.fps)]).astype(np.float32)


def _amplitudes(centred: np.ndarray, fps: float) -> list[np.ndarray]:
    """Root mean power of each feature in each band; a length does not change it."""
    frames = max(_SPECTRUM_FRAMES, len(centred))
    power = np.abs(np.fft.rfft(centred, n=frames, axis=0)) ** 2 / len(centred)
    rate = np.fft.rfftfreq(frames, 1 / fps)
    return [np.sqrt(power[(rate > low) & (rate <= high)].mean(0)) for low, high in _BANDS_HZ]


@dataclass(frozen=True)
class SoftmaxRegression:
    """log p = log softmax(((x - mean) / deviation) @ weight + bias); weight is (F, C)."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, classes: np.ndarray, count: int, ridge: float = 0.01) -> "SoftmaxRegression":
        """Fit to (N, F) rows and their (N,) class numbers below `count`; `ridge` weighs the squared weights.

        The loss has one minimum, so the same rows give the same classifier, whatever the seed.
        """
        mean, deviation = rows.mean(0), rows.std(0) + _SMALLEST_DEVIATION
        scaled = ((rows - mean) / deviation).astype(np.float32)
        wanted = np.eye(count, dtype=np.float32)[classes]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weight, bias = flat[:-count].reshape(-1, count), flat[-count:]
            log_probs = _log_softmax(scaled @ weight.astype(np.float32) + bias)
            error = (np.exp(log_probs) - wanted).astype(np.float32) / len(rows)
            value = -float((log_probs * wanted).sum()) / len(rows) + ridge * float((weight**2).sum())
            slope = np.concatenate([(scaled.T @ error + 2 * ridge * weight).ravel(), error.sum(0)])
            return value, slope.astype(np.float64)

        start = np.zeros((rows.shape[1] + 1) * count)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-6}).x
        return cls(mean, deviation, found[:-count].reshape(-1, count).astype(np.float32), found[-count:])

    def log_probs(self, rows: np.ndarray) -> np.ndarray:
        """(N, C) natural logarithms of the probabilities of the classes."""
        return _log_softmax(((rows - self.mean) / self.deviation) @ self.weight + self.bias)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
