"""What a step of vision-language training is made of: clips drawn and asked about, their loss, the held-out figures."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from posellm_assets.actions.augment import augmented
from posellm_assets.actions.config import TINY, ActionJob, VisionTrainingConfig
from posellm_assets.actions.dataset import ActionDataset, ActionExample, balanced_epoch
from posellm_assets.actions.phrasings import phrasings
from posellm_assets.actions.vlm_inputs import Seen, model_inputs, see
from posellm_assets.actions.vlm_model import LoadedVision, attach_lora, build_tiny, load
from posellm_assets.actions.vlm_scoring import Scorer, answer_ids, frames_of, names_of
from posellm_assets.lake import whole_folder, write_atomic
from posellm_assets.language import models
from posellm_assets.language.backends import Backend
from posellm_assets.language.packing import IGNORE
from posellm_assets.language.processes import Processes
from posellm_assets.language.start import BASE


@dataclass(frozen=True)
class Schedule:
    """The steps of a training and how fast each learns, as the optimizer takes them."""

    steps: int
    learning_rate: float
    warmup: float
    weight_decay: float

    @classmethod
    def of(cls, training: VisionTrainingConfig, clips: int) -> "Schedule":
        """The schedule that goes through `clips` as often as asked for."""
        steps = math.ceil(training.epochs * clips / (training.clips_per_batch * training.batches_per_step))
        return cls(steps, training.learning_rate, training.warmup, training.weight_decay)


def start(job: ActionJob, dataset: ActionDataset, backend: Backend, bf16: bool, processes: Processes) -> LoadedVision:
    """The base model, ready to train: the built-in one is made first; what LoRA does not train is frozen."""
    source = job.model.base
    if source == TINY:
        source = str(job.out / BASE)
        if processes.first and not (job.out / BASE).is_dir():
            with whole_folder(job.out / BASE) as folder:
                build_tiny(job.model.tiny, list(_texts(dataset)), job.seed, folder)
        processes.wait()
    frozen = job.model.trained == "lora"
    loaded = load(source, backend, torch.bfloat16 if bf16 and frozen else torch.float32, processes.device)
    if processes.device.type == "cpu":
        loaded.model.set_attn_implementation("eager")  # as fast in training as the fused one on rows this short
    return attach_lora(loaded, job.model, job.seed) if frozen else loaded


class Teacher:
    """Draws clips and questions by their place in the training, and says how well the model answers."""

    def __init__(self, job: ActionJob, dataset: ActionDataset, loaded: LoadedVision, bf16: bool, processes: Processes):
        self._job, self._dataset, self._loaded, self._bf16, self._processes = job, dataset, loaded, bf16, processes
        self._clips = dataset.of("train")
        self._epoch: tuple[int, list[int]] = (-1, [])
        self._mirror = dataset.label_set.mirrored()
        self._scorer = Scorer(loaded, dataset.label_set, dataset.languages[0])

    def drawn(self, place: int) -> ActionExample:
        """The clip at a place of the training, counted from 0 over all epochs."""
        epoch, within = divmod(place, len(self._clips))
        if self._epoch[0] != epoch:
            self._epoch = epoch, balanced_epoch(self._clips, self._job.seed, epoch)
        return self._clips[self._epoch[1][within]]

    def summed_loss(self, places: Sequence[int]) -> torch.Tensor:
        """Minus the log-likelihood of the answers about the clips at `places`, summed."""
        asked = [self._asked(place) for place in places]
        rows = [[*seen.ids, *answer] for seen, answer in asked]
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self._loaded.tokenizer.pad_token_id)
        read, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE)
        for number, (row, (seen, _)) in enumerate(zip(rows, asked, strict=True)):
            ids[number, : len(row)] = torch.tensor(row)
            read[number, : len(row)] = 1
            labels[number, len(seen.ids) : len(row)] = torch.tensor(row[len(seen.ids) :])
        device = self._processes.device
        inputs = model_inputs(self._loaded, [seen for seen, _ in asked], ids, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            body = self._loaded.inner.base_model
            hidden = body(**inputs, attention_mask=read.to(device), use_cache=False).last_hidden_state
            labelled = labels[:, 1:] != IGNORE
            scores = models.logits(self._loaded.model, hidden[:, :-1][labelled.to(device)])
        return functional.cross_entropy(scores, labels[:, 1:][labelled].to(device), reduction="sum")

    def evaluate(self, examples: Sequence[ActionExample]) -> dict[str, Any]:
        """Share of `examples` whose likeliest class is right, minus the mean log-probability of that class, and n."""
        right = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        for example in self._processes.share(examples):
            with torch.autocast(self._processes.device.type, torch.bfloat16, enabled=self._bf16):
                (log_probs,) = self._scorer.log_probs([self._frames(example)])
            right[0] += max(log_probs, key=lambda one: log_probs[one]) == example.class_id
            right[1] -= log_probs[example.class_id]
        self._processes.add_up([right])
        accuracy, nats = (right / len(examples)).tolist()
        return {"accuracy": accuracy, "nats": nats, "clips": len(examples)}

    def _asked(self, place: int) -> tuple[Seen, list[int]]:
        """A clip as it is seen at a place of the training, with a question, and the answer to it."""
        example = self.drawn(place)
        frames, times_s = self._frames(example)
        generator = np.random.default_rng([self._job.seed, place])
        mirrored = example.class_id in self._mirror and generator.random() < 0.5
        frames = augmented(frames, mirrored, generator)
        class_id = self._mirror[example.class_id] if mirrored else example.class_id
        languages = self._dataset.languages
        language = languages[generator.integers(len(languages))]
        question = str(generator.choice(phrasings()[language].questions))
        answer = str(generator.choice(names_of(self._dataset.label_set[class_id], language)))
        return see(self._loaded, frames, times_s, question), answer_ids(self._loaded, answer)

    def _frames(self, example: ActionExample) -> tuple[np.ndarray, np.ndarray]:
        """The frames of a clip and their times, decoded once and kept in `frames/` until training ends."""
        path = self._job.out / "frames" / f"{example.id}.npz"
        if not path.is_file():
            frames, times_s = frames_of(self._dataset.clip_of(example), self._job.model.frames)
            write_atomic(path, lambda stream: np.savez(stream, frames=frames, times_s=times_s))
        with np.load(path) as kept:
            return kept["frames"], kept["times_s"]


def _texts(dataset: ActionDataset) -> Iterator[str]:
    """What the built-in model's tokenizer is trained on: times, questions and names."""
    yield from (f"<{tenths / 10:.1f} seconds>" for tenths in range(100))
    for language in dataset.languages:
        yield from phrasings()[language].questions
        for one in dataset.label_set.classes:
            yield from names_of(one, language)
