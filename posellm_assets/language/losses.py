"""The loss of packed rows, and its mean per answer token on held-out clips."""

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from posellm_assets.language import models
from posellm_assets.language.clips import TrainingClip, UnusableData, View
from posellm_assets.language.config import StageConfig, Task
from posellm_assets.language.near_codes import NearCodes
from posellm_assets.language.packing import IGNORE, PackedBatch, collate, hidden_states, pack
from posellm_assets.language.tasks import build, serves
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.processes import Processes


def summed_loss(
    model: Any, batch: PackedBatch, vocabulary: Vocabulary, masked: bool, bf16: bool, near: NearCodes | None = None
) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens; the head is applied to those only."""
    if near:
        batch = dataclasses.replace(batch, ids=near.blurred(batch.ids))
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=bf16):
        hidden = hidden_states(models.body(model), batch, masked)
        labelled = batch.labels[:, 1:] != IGNORE
        losses = token_losses(model, hidden[:, :-1][labelled], batch.labels[:, 1:][labelled], vocabulary, near)
    return losses.sum()


def token_losses(
    model: Any, hidden: torch.Tensor, labels: torch.Tensor, vocabulary: Vocabulary, near: NearCodes | None = None
) -> torch.Tensor:
    """(N,) float32 cross-entropy of labels (N,) after hidden states (N, size).

    What is certain to be a text, a new step (or the end of the motion) or the next code of a step competes with its
    like alone, in training as in decoding, which also saves most of the head's work.
    """
    losses = torch.empty(len(labels), dtype=torch.float32, device=labels.device)
    left = torch.ones_like(labels, dtype=torch.bool)
    of_codes = [vocabulary.rows_of(place) for place in range(vocabulary.codes_per_step)]
    for rows in [vocabulary.text_rows, *of_codes, None]:
        here = left if rows is None else left & (labels >= rows.start) & (labels < rows.stop)
        scores = models.logits(model, hidden[here], rows)
        first = rows.start if rows else 0
        if near and rows in of_codes:
            losses[here] = near.losses(scores, labels[here], first)
        else:
            losses[here] = functional.cross_entropy(scores, labels[here] - first, reduction="none")
        left = left & ~here
    return losses


@torch.no_grad()
def validate(
    model: Any,
    masked: bool,
    bf16: bool,
    clips: Sequence[TrainingClip],
    stage: StageConfig,
    vocabulary: Vocabulary,
    processes: Processes,
) -> dict[Task, dict[str, Any]]:
    """Mean loss per answer token on held-out clips for each task of the stage, with the number of tokens and clips.

    Leaves the model in training mode. Raises UnusableData where a loss is not finite.
    """
    model.eval()
    result: dict[Task, dict[str, Any]] = {}
    for task in (task for task, share in stage.tasks.items() if share):
        used = [clip for clip in clips if serves(clip.views[0], task, vocabulary.codes_per_step)]
        generator = random.Random(0)
        examples = [
            example
            for clip in used
            for example in build(
                task,
                clip.key,
                clip.views[0].codes,
                _text(clip.views[0], task),
                vocabulary,
                stage.row_tokens,
                stage.mask_rate,
                generator,
                question=clip.views[0].question,
            )
        ]
        total = torch.zeros((), device=processes.device)
        rows = processes.share(pack(examples, stage.row_tokens))
        for start in range(0, len(rows), stage.rows_per_batch):
            batch = collate(rows[start : start + stage.rows_per_batch], stage.row_tokens, vocabulary.pad)
            total += summed_loss(model, batch.to(processes.device), vocabulary, masked, bf16)
        processes.add_up([total])
        tokens = sum(len(example.answer) for example in examples)
        if not math.isfinite(float(total)):
            raise UnusableData(
                f"the loss of {task} on {len(used)} held-out clips is {float(total)}: the model is broken"
            )
        if tokens:
            result[task] = {"loss": float(total) / tokens, "tokens": tokens, "clips": len(used)}
    model.train()
    return result


def can_evaluate(clips: Sequence[TrainingClip], stage: StageConfig, vocabulary: Vocabulary) -> bool:
    """Whether one of the held-out clips serves a task of the stage; UnusableData where the stage must be evaluated."""
    tasks = [task for task, share in stage.tasks.items() if share]
    can = any(serves(clip.views[0], task, vocabulary.codes_per_step) for clip in clips for task in tasks)
    if stage.evaluate_every and not can:
        raise UnusableData(
            f"evaluate_every needs held-out clips that serve {', '.join(tasks)}, and of {len(clips)} none does: add "
            "footage of participants who fall into the validation split, or leave evaluate_every (and patience) out"
        )
    return can


def mean_loss(validated: dict[Task, dict[str, Any]], stage: StageConfig) -> float:
    """The losses that `validate` found as one number, each task counting as much as it does in the stage."""
    shares = [stage.tasks[task] for task in validated]
    return sum(share * part["loss"] for share, part in zip(shares, validated.values(), strict=True)) / sum(shares)


def _text(view: View, task: Task) -> str:
    text = view.texts[0] if view.texts else ""
    return view.description(text) if task == "m2t" else text
