"""Who is asked about a clip: each member forms its own opinion from what it can see of it.

Torch is loaded by the members that need it, when they are loaded: a recogniser with the motion classifier alone does
without.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from posellm_assets.actions.dataset.clips import ActionDataset, ActionExample
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import SHORTEST_S, LabelledMotion, MotionClassifier
from posellm_assets.actions.members.opinions import LANGUAGE, MOTION, VISION, Opinion, log_probabilities
from posellm_assets.motion.motion import Motion
from posellm_assets.vision.frames import Box

if TYPE_CHECKING:
    from posellm_assets.actions.members.vision_language import VisionModel
    from posellm_assets.language.decoding import MotionLM
    from posellm_assets.motion.tokenizer import MotionTokenizer


@dataclass(frozen=True)
class ActionClip:
    """A stretch of footage that shows one action: `video` is None for motion capture, `motion` None where nobody could
    be followed, `box` where they are in the picture. Times are seconds in the video. `around` is the motion by which
    the familiarity of a clip is told that is shorter than the windows in which it was learned."""

    start_s: float
    end_s: float
    video: Path | None = None
    motion: Motion | None = None
    hit_s: float | None = None
    box: Box | None = None
    around: Motion | None = None


class Member(Protocol):
    """One opinion each."""

    name: str

    def opinions(self, cases: Sequence[ActionClip]) -> list[Opinion | None]:
        """An opinion on each case, None where it shows nothing that this member could judge."""
        ...


class MotionMember:
    """The motion classifier."""

    name = MOTION

    def __init__(self, model: MotionClassifier):
        self.model = model

    def opinions(self, cases: Sequence[ActionClip]) -> list[Opinion | None]:
        """See `Member`."""
        return self.model.opinions([case.motion for case in cases])


class LanguageMember:
    """Closed-set scoring by the motion language model: how likely each name of a class is as the text of the motion.

    A class is named by any of its names, so their probabilities add up.
    """

    name = LANGUAGE

    def __init__(self, model: "MotionLM", tokenizer: "MotionTokenizer", label_set: LabelSet, language: str = "en"):
        self.model, self.tokenizer = model, tokenizer
        self.names = {name: one.id for one in label_set.classes for name in one.spellings(language)}

    @classmethod
    def load(cls, model: Path, tokenizer: Path, label_set: LabelSet) -> "LanguageMember":
        """The finished model of a stage, and the tokenizer whose codes it uses."""
        from posellm_assets.language.decoding import MotionLM
        from posellm_assets.motion.tokenizer import MotionTokenizer

        return cls(MotionLM.load(model), MotionTokenizer.load(tokenizer), label_set)

    def opinions(self, cases: Sequence[ActionClip]) -> list[Opinion | None]:
        """See `Member`."""
        said: list[Opinion | None] = [None] * len(cases)
        started = time.process_time()
        shortest_s = max(SHORTEST_S, self.tokenizer.frames_per_step / self.tokenizer.fps)
        stretches = [case.motion.segments(shortest_s) if case.motion else [] for case in cases]
        heard = [index for index, found in enumerate(stretches) if found]
        if not heard:
            return said
        codes = self.tokenizer.encode_many([max(stretches[index], key=len) for index in heard])
        scores = self.model.score_labels(codes, list(self.names)).tolist()
        seconds = (time.process_time() - started) / len(heard)
        for index, row in zip(heard, scores, strict=True):
            by_class: dict[str, float] = {}
            for class_id, score in zip(self.names.values(), row, strict=True):
                by_class[class_id] = float(np.logaddexp(by_class.get(class_id, -np.inf), score))
            said[index] = Opinion(LANGUAGE, log_probabilities(by_class), seconds)
        return said


class VisionMember:
    """The vision-language model, which sees frames."""

    name = VISION

    def __init__(self, model: "VisionModel", label_set: LabelSet):
        self.model, self.label_set = model, label_set

    @classmethod
    def load(cls, folder: Path, label_set: LabelSet) -> "VisionMember":
        """The model that `posellm_assets.actions.train` finished."""
        from posellm_assets.actions.members.vision_language import VisionModel

        return cls(VisionModel.load(folder), label_set)

    def opinions(self, cases: Sequence[ActionClip]) -> list[Opinion | None]:
        """See `Member`."""
        said: list[Opinion | None] = [None] * len(cases)
        seen = [index for index, case in enumerate(cases) if case.video is not None]
        asked = [example_of(cases[index]) for index in seen]
        for index, opinion in zip(seen, self.model.opinions(asked, self.label_set), strict=True):
            said[index] = opinion
        return said


def example_of(case: ActionClip) -> ActionExample:
    """A case as the vision room asks for it; what it shows is not known."""
    assert case.video is not None
    return ActionExample(
        id=f"{case.video.stem} at {case.start_s:.2f} s",
        video=case.video,
        start_s=case.start_s,
        end_s=case.end_s,
        class_id="",
        participant=None,
        split="test",
        hit_s=case.hit_s,
        box=case.box,
    )


def part_of(motion: Motion, start_s: float, end_s: float) -> Motion:
    """The frames of a motion between two times of its source (s)."""
    first = max(0, round((start_s - motion.start_s) * motion.fps))
    return motion.cut(first, max(first + 1, round((end_s - motion.start_s) * motion.fps)))


def cases_of(
    dataset: ActionDataset, examples: Sequence[ActionExample], motions: Mapping[str, Path]
) -> list[ActionClip]:
    """A case for each example, with its motion where `motions` has a file for the example's video."""
    clips = [dataset.clip_of(example) for example in examples]
    return [
        ActionClip(clip.start_s, clip.end_s, clip.video, _motion(example, motions), clip.hit_s, clip.box)
        for clip, example in zip(clips, examples, strict=True)
    ]


def labelled_motions(
    examples: Sequence[ActionExample], cases: Sequence[ActionClip], label_set: LabelSet, longest: bool = False
) -> list[LabelledMotion]:
    """The stretches without a gap of the cases' motions, with its class and that of its mirror image.

    All of them, or the longest of each case, by which it is judged.
    """
    mirrored = label_set.mirrored()
    found = []
    for example, case in zip(examples, cases, strict=True):
        stretches = case.motion.segments(SHORTEST_S) if case.motion else []
        group = example.participant or example.key or example.id
        for stretch in sorted(stretches, key=len, reverse=True)[: 1 if longest else None]:
            found.append(LabelledMotion(stretch, example.class_id, mirrored.get(example.class_id), group))
    return found


def _motion(example: ActionExample, motions: Mapping[str, Path]) -> Motion | None:
    path = motions.get(example.key or "")
    return part_of(Motion.read(path), example.start_s, example.end_s) if path else None
