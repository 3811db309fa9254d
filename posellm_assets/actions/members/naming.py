"""Which action is it? What a vision-language model that names actions is asked, by the clips of a data set."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from posellm_assets.actions.dataset.clips import EXAMPLES, ActionExample, balanced_epoch, read_dataset
from posellm_assets.actions.dataset.formats import phrasings
from posellm_assets.actions.members.scoring import RECOGNISER, Scorer, frames_of, names_of
from posellm_assets.files import sha256_of, write_atomic
from posellm_assets.vision.config import VisionJob
from posellm_assets.vision.frames import augmented
from posellm_assets.vision.inputs import answer_ids, see
from posellm_assets.vision.learning import Asked, Learner
from posellm_assets.vision.model import LoadedVision


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
        if not path.is_file():
            frames, times_s = frames_of(self._dataset.clip_of(example), self._job.model.frames)
            write_atomic(path, lambda stream: np.savez(stream, frames=frames, times_s=times_s))
        with np.load(path) as kept:
            return kept["frames"], kept["times_s"]
