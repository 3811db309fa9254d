"""What a step of vision-language training is made of: questions with their answers, and how likely these are said."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

from posellm_assets.files import whole_folder
from posellm_assets.language import models
from posellm_assets.language.packing import IGNORE
from posellm_assets.training.backends import Backend
from posellm_assets.training.processes import Processes
from posellm_assets.training.record import BASE
from posellm_assets.vision.config import TINY, VisionJob, VisionTrainingConfig
from posellm_assets.vision.inputs import Seen, model_inputs
from posellm_assets.vision.model import LoadedVision, attach_lora, build_tiny, load

Asked = tuple[Seen, list[int]]
"""What is seen and asked, and the token ids of the answer, its end included."""


@dataclass(frozen=True)
class VisionSchedule:
    """The steps of a training and how fast each learns, as the optimizer takes them."""

    steps: int
    learning_rate: float
    warmup: float
    weight_decay: float

    @classmethod
    def of(cls, training: VisionTrainingConfig, clips: int) -> "VisionSchedule":
        """The schedule that goes through `clips` as often as asked for."""
        steps = math.ceil(training.epochs * clips / (training.clips_per_batch * training.batches_per_step))
        return cls(steps, training.learning_rate, training.warmup, training.weight_decay)


class Questions(Protocol):
    """What a model is trained to answer, and how well it does: all that differs from one training to another.

    `purpose` says what such a model does, for its card; `sha256` is of the data; `clips` and `held_out` count what is
    trained on and evaluated on; `summary` names them; `about` stands in the file `about_file` beside the model.
    """

    purpose: str
    sha256: str
    clips: int
    held_out: int
    summary: str
    about: dict[str, Any]
    about_file: str

    def texts(self) -> Iterable[str]:
        """What the built-in model's tokenizer is trained on."""

    def name(self, place: int) -> str:
        """Which clip is asked about at a place of the training, counted from 0 over all epochs."""

    def asked(self, place: int, loaded: LoadedVision) -> Asked:
        """What is asked and answered at a place of the training; it follows from the job and the place alone."""

    def evaluate(self, learner: "Learner") -> dict[str, Any]:
        """Of what is held out: `accuracy` (share answered right), `nats` (of the right answer, mean) and `clips`."""


def start(job: VisionJob, questions: Questions, backend: Backend, bf16: bool, processes: Processes) -> LoadedVision:
    """The base model, ready to train: the built-in one is made first; what LoRA does not train is frozen."""
    source = job.model.base
    if source == TINY:
        source = str(job.out / BASE)
        if processes.first and not (job.out / BASE).is_dir():
            with whole_folder(job.out / BASE) as folder:
                build_tiny(job.model.tiny, list(questions.texts()), job.seed, folder)
        processes.wait()
    frozen = job.model.trained == "lora"
    loaded = load(source, backend, torch.bfloat16 if bf16 and frozen else torch.float32, processes.device)
    if processes.device.type == "cpu":
        loaded.model.set_attn_implementation("eager")  # as fast in training as the fused one on rows this short
    return attach_lora(loaded, job.model, job.seed) if frozen else loaded


class Learner:
    """The model that is trained, as the steps and the evaluations call it."""

    def __init__(self, loaded: LoadedVision, bf16: bool, processes: Processes):
        self.loaded, self.bf16, self.processes = loaded, bf16, processes

    def summed_loss(self, asked: Sequence[Asked]) -> torch.Tensor:
        """Minus the log-likelihood of the answers, summed."""
        return functional.cross_entropy(*self.scores(asked), reduction="sum")

    def scores(self, asked: Sequence[Asked]) -> tuple[torch.Tensor, torch.Tensor]:
        """(tokens of all answers, vocabulary): the logits of each, given those before it; and the tokens' ids."""
        rows = [[*seen.ids, *answer] for seen, answer in asked]
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.loaded.tokenizer.pad_token_id)
        read, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE)
        for number, (row, (seen, _)) in enumerate(zip(rows, asked, strict=True)):
            ids[number, : len(row)] = torch.tensor(row)
            read[number, : len(row)] = 1
            labels[number, len(seen.ids) : len(row)] = torch.tensor(row[len(seen.ids) :])
        device = self.processes.device
        inputs = model_inputs(self.loaded, [seen for seen, _ in asked], ids, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            body = self.loaded.inner.base_model
            hidden = body(**inputs, attention_mask=read.to(device), use_cache=False).last_hidden_state
            labelled = labels[:, 1:] != IGNORE
            scores = models.logits(self.loaded.model, hidden[:, :-1][labelled.to(device)])
        return scores, labels[:, 1:][labelled].to(device)
