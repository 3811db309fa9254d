"""The motion classifier: an opinion from the movement alone, trained in seconds. Loads no torch."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from posellm_assets.actions.members.features import summary
from posellm_assets.actions.members.opinions import Opinion
from posellm_assets.actions.members.softmax import SoftmaxRegression
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.resampling import resample

NAME = "motion"
SHORTEST_S = 0.4
# Of each training motion this share from a random place is learned from too: what is asked about is cut out of longer
# footage, where a movement begins and ends anywhere.
_CROPS = (0.6, 1.0)


@dataclass(frozen=True)
class LabelledMotion:
    """A motion without gaps and its class; `mirrored_id` is the class of its mirror image, None where it has none."""

    motion: Motion
    class_id: str
    mirrored_id: str | None


class MotionClassifier:
    """Softmax regression on statistics of a motion (`features.summary`)."""

    def __init__(self, classes: Sequence[str], fps: float, joints: Sequence[str], model: SoftmaxRegression):
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
            for motion, class_id in _views(example, rng):
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
        return Opinion(NAME, dict(zip(self.classes, log_probs, strict=True)), time.process_time() - started)

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


def _views(example: LabelledMotion, rng: np.random.Generator) -> Iterable[tuple[Motion, str]]:
    """The motion, a crop of it, and both mirrored."""
    views = [(example.motion, example.class_id)]
    if example.mirrored_id is not None:
        views.append((mirror(example.motion), example.mirrored_id))
    for motion, class_id in views:
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
