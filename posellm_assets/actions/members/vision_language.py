"""The vision-language model as a member: what it is asked in training, and how likely it says each class of a clip.

A clip is read once for all names together.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets.actions.dataset.clips import EXAMPLES, ActionExample, UnusableDataset, balanced_epoch, read_dataset
from posellm_assets.actions.dataset.formats import phrasings
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.opinions import VISION, Opinion, log_probabilities
from posellm_assets.files import read_json, sha256_of, write_atomic
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.npy import read_npz
from posellm_assets.problems import attempted
from posellm_assets.vision.config import FramesConfig, VisionJob
from posellm_assets.vision.frames import augmented, read_frames
from posellm_assets.vision.inputs import answer_ids, see
from posellm_assets.vision.learning import Asked, Learner
from posellm_assets.vision.model import LoadedVision, load_finished
from posellm_assets.vision.scoring import AnswerScorer

RECOGNISER = "vision_recogniser.json"
"""Beside a finished model: which frames it sees, and which classes it names in which language."""

_CLIPS_AT_ONCE = 8


class Scorer:
    """Scores clips against the names of a label set's classes in one language."""

    def __init__(self, loaded: LoadedVision, label_set: LabelSet, language: str):
        self.loaded = loaded
        self.question = phrasings()[language].questions[0]
        spelled = {spelling: one.id for one in label_set.classes for spelling in names_of(one, language)}
        self._owners = list(spelled.values())
        self._answers = AnswerScorer(loaded, list(spelled))

    def log_probs(self, clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
        """For each clip (frames, times_s) the log-probability of each class, by id.

        A class is answered by any of its names, so their probabilities add up: a mean over the names, each against the
        share of the answers that it had in training.
        """
        seen = [see(self.loaded, frames, times_s, self.question) for frames, times_s in clips]
        result = []
        for scores in self._answers.scores(seen).tolist():
            by_class: dict[str, list[float]] = {}
            for owner, score in zip(self._owners, scores, strict=True):
                by_class.setdefault(owner, []).append(score)
            result.append(log_probabilities({one: float(np.logaddexp.reduce(own)) for one, own in by_class.items()}))
        return result


class VisionModel:
    """A finished model as a member of the ensemble."""

    def __init__(self, loaded: LoadedVision, frames: FramesConfig, language: str, label_set: LabelSet):
        self.loaded, self.frames, self.language, self.label_set = loaded, frames, language, label_set

    @classmethod
    def load(cls, folder: Path) -> "VisionModel":
        """The model that `posellm_assets.actions.train` finished; raises UnusableDataset where `folder` holds none."""
        if not (folder / RECOGNISER).is_file():
            raise UnusableDataset(f"{folder} holds no {RECOGNISER}: it is no finished model for recognising actions")
        about: dict[str, Any] = read_json(folder / RECOGNISER)
        frames = FramesConfig.model_validate(about["frames"])
        return cls(load_finished(folder), frames, about["language"], LabelSet.model_validate(about["label_set"]))

    def opinions(self, examples: Sequence[ActionExample], label_set: LabelSet) -> list[Opinion]:
        """An opinion on each example, of the classes of `label_set`. The seconds of a batch are shared out evenly.

        Raises UnreadableVideo naming the example whose frames cannot be read.
        """
        scorer = Scorer(self.loaded, label_set, self.language)
        opinions: list[Opinion] = []
        for first in range(0, len(examples), _CLIPS_AT_ONCE):
            batch = examples[first : first + _CLIPS_AT_ONCE]
            began = time.process_time()
            found = scorer.log_probs([frames_of(example, self.frames) for example in batch])
            seconds = (time.process_time() - began) / len(batch)
            opinions += [Opinion(VISION, log_probs, seconds) for log_probs in found]
        return opinions


def frames_of(example: ActionExample, config: FramesConfig) -> tuple[np.ndarray, np.ndarray]:
    """The frames of an example and their times, as `read_frames`; raises UnreadableVideo naming the example."""
    try:
        return read_frames(example.video, example.start_s, example.end_s, example.hit_s, config, example.box)
    except (UnreadableVideo, OSError) as error:
        raise UnreadableVideo(f"{example.id} ({example.video}): {error}") from error


def names_of(one: Any, language: str) -> list[str]:
    """How a class may be answered in a language: its name and synonyms, or what it is called in another one."""
    return one.spellings(language) or [one.name(language)]


class NamingQuestions:
    """`Questions` about the classes of clips, drawn by their place in the training. Raises UnusableDataset."""

    purpose = "names actions"
    about_file = RECOGNISER

    def __init__(self, job: VisionJob):
        self._job, self._dataset = job, read_dataset(job.dataset)
        self.sha256 = sha256_of(job.dataset / EXAMPLES)
        self._clips, self._held_out = self._dataset.of("train"), self._dataset.of("val")
        self.clips, self.held_out = len(self._clips), len(self._held_out)
        self.summary = f"{self.clips} clips of {len({clip.class_id for clip in self._clips})} classes"
        self._language, self._label_set = self._dataset.languages[0], self._dataset.label_set
        self.about = {"language": self._language, "label_set": self._label_set.model_dump()}
        self._epoch: tuple[int, list[int]] = (-1, [])
        self._mirror = self._label_set.mirrored()

    def texts(self) -> Iterator[str]:
        """Times, questions and names."""
        yield from (f"<{tenths / 10:.1f} seconds>" for tenths in range(100))
        for language in self._dataset.languages:
            yield from phrasings()[language].questions
            for one in self._label_set.classes:
                yield from names_of(one, language)

    def name(self, place: int) -> str:
        """The id of the clip at a place."""
        return self._drawn(place).id

    def asked(self, place: int, loaded: LoadedVision) -> Asked:
        """A clip as it is seen at a place of the training, with a question, and the answer to it."""
        example = self._drawn(place)
        frames, times_s = self._frames(example)
        generator = np.random.default_rng([self._job.seed, place])
        mirrored = example.class_id in self._mirror and generator.random() < 0.5
        frames = augmented(frames, mirrored, generator)
        class_id = self._mirror[example.class_id] if mirrored else example.class_id
        languages = self._dataset.languages
        language = languages[generator.integers(len(languages))]
        question = str(generator.choice(phrasings()[language].questions))
        answer = str(generator.choice(names_of(self._label_set[class_id], language)))
        return see(loaded, frames, times_s, question), answer_ids(loaded, answer)

    def evaluate(self, learner: Learner) -> dict[str, Any]:
        """Share of held-out clips whose likeliest class is right, minus the mean log-probability of that class, n."""
        processes = learner.processes
        scorer = Scorer(learner.loaded, self._label_set, self._language)
        right = torch.zeros(2, dtype=torch.float64, device=processes.device)
        for example in processes.share(self._held_out):
            with torch.autocast(processes.device.type, torch.bfloat16, enabled=learner.bf16):
                (log_probs,) = scorer.log_probs([self._frames(example)])
            right[0] += max(log_probs, key=lambda one: log_probs[one]) == example.class_id
            right[1] -= log_probs[example.class_id]
        processes.add_up([right])
        accuracy, nats = (right / self.held_out).tolist()
        return {"accuracy": accuracy, "nats": nats, "clips": self.held_out}

    def _drawn(self, place: int) -> ActionExample:
        epoch, within = divmod(place, self.clips)
        if self._epoch[0] != epoch:
            self._epoch = epoch, balanced_epoch(self._clips, self._job.seed, epoch)
        return self._clips[self._epoch[1][within]]

    def _frames(self, example: ActionExample) -> tuple[np.ndarray, np.ndarray]:
        """The frames of a clip and their times, decoded once and kept in `frames/` until training ends."""
        path = self._job.out / "frames" / f"{example.id}.npz"
        kept = attempted(read_npz, path)
        if isinstance(kept, Exception):
            frames, times_s = frames_of(self._dataset.clip_of(example), self._job.model.frames)
            write_atomic(path, lambda stream: np.savez(stream, frames=frames, times_s=times_s))
            return frames, times_s
        return kept["frames"], kept["times_s"]
