"""Train the evaluator: `python -m posellm_assets.evaluation.train_evaluator JOB.json` (an `EvaluatorJob`).

Contrastive learning on real motion of train participants, with mirrored (words swapped) and speed-changed views. The
report says how well it does on real held-out clips: an evaluator has to be evaluated first.
"""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from posellm_assets import files
from posellm_assets.evaluation.clips import FilmedExample, read_filmed
from posellm_assets.evaluation.config import EvaluatorConfig, EvaluatorJob
from posellm_assets.evaluation.distributions import RANKS, chance_of_precision, matching
from posellm_assets.evaluation.evaluator import FRAMES_PER_STEP, Evaluator
from posellm_assets.lake import REPORT
from posellm_assets.motion.augment import change_speed, mirror
from posellm_assets.motion.representation import encode
from posellm_assets.program import Report, run_program
from posellm_assets.reports.metrics import accuracy
from posellm_assets.texts.mirror import mirror_text


def run(job: EvaluatorJob, report: Report) -> dict[str, Any]:
    """Train on `job.train`, measure on `job.test`, write `job.out`; returns the report.

    Raises ValueError where there is no train clip.
    """
    started_s = time.process_time()
    train, test = (read_filmed(path, job.motions, job) for path in (job.train, job.test))
    evaluator, losses = fit(train, job.config, job.seed, report)
    content = {
        "train_clips": len(train),
        "held_out_clips": len(test),
        "seed": job.seed,
        "steps": job.config.steps,
        "last_loss": round(float(np.mean(losses[-20:])), 4),
        **held_out(evaluator, train, test),
        "seconds": round(time.process_time() - started_s, 1),
    }
    evaluator.save(job.out)
    files.write_json(job.out / REPORT, content)
    report(f"evaluator: {content}")
    return content


def fit(
    clips: Sequence[FilmedExample], config: EvaluatorConfig, seed: int, report: Report
) -> tuple[Evaluator, list[float]]:
    """An evaluator trained on `clips`, and its loss at every step."""
    clips = [clip for clip in clips if clip.texts]
    if not clips:
        raise ValueError("no clip of the train split has a text, so there is nothing to train an evaluator on")
    choose = random.Random(seed)
    torch.manual_seed(seed)
    whole = np.concatenate([encode(clip.motion) for clip in clips])
    first = clips[0].motion
    evaluator = Evaluator(whole.mean(0), whole.std(0) + 0.02, first.skeleton, first.fps, config).train()
    optimizer = torch.optim.AdamW(evaluator.parameters(), lr=config.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps + 1)
    groups = _groups(clips)
    losses = []
    for step in range(config.steps):
        views = [_view(choose.choice(choose.choice(groups)), config, choose) for _ in range(config.batch_size)]
        texts = [text for _, text, _ in views]
        fits = torch.tensor([[text in fitting for text in texts] for _, _, fitting in views], dtype=torch.float32)
        scores = evaluator([features for features, _, _ in views], texts)
        loss = (_contrast(scores, fits) + _contrast(scores.T, fits.T)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 99:
            report(f"evaluator step {step + 1}/{config.steps}: loss {np.mean(losses[-100:]):.3f}")
    return evaluator.eval(), losses


def held_out(evaluator: Evaluator, train: Sequence[FilmedExample], test: Sequence[FilmedExample]) -> dict[str, Any]:
    """Figures on real clips of held-out participants; where one cannot be measured, the reason stands in its place."""
    labels = sorted({clip.label for clip in train if clip.label})
    labelled = [clip for clip in test if clip.label in labels]
    figures: dict[str, Any] = {"labels": labels}
    if len(labels) < 2 or not labelled:
        figures["accuracy"] = None
        figures["accuracy_reason"] = (
            "fewer than two labels in training" if len(labels) < 2 else "no labelled held-out clip"
        )
    else:
        similarity = evaluator.similarity([clip.motion for clip in labelled], labels)
        truth = [labels.index(clip.label or "") for clip in labelled]
        figures["accuracy"] = accuracy(truth, similarity.argmax(1).tolist()).model_dump()
        figures["accuracy_chance"] = 1 / len(labels)
    described = [clip for clip in test if clip.texts]
    texts = [clip.texts[-1] for clip in described]
    if len(set(texts)) < 2:
        return {**figures, "r_precision": None, "r_precision_reason": "fewer than two different held-out texts"}
    found = matching(evaluator.embed_motions([clip.motion for clip in described]), evaluator.embed_texts(texts), texts)
    for k, figure in zip(RANKS, found.r_precision, strict=True):
        figures[f"r_precision_{k}"] = figure.model_dump()
        figures[f"r_precision_{k}_chance"] = chance_of_precision(texts, k)
    figures["mm_dist"] = found.mm_dist.model_dump() if found.mm_dist else None
    return figures


def _contrast(scores: torch.Tensor, fits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each row of (B, B) scores, its weight spread over all that fits."""
    return functional.cross_entropy(scores, fits / fits.sum(1, keepdim=True))


def _groups(clips: Sequence[FilmedExample]) -> list[list[FilmedExample]]:
    """Clips of the same movement, so that each movement is drawn as often as any other."""
    groups: dict[str, list[FilmedExample]] = defaultdict(list)
    for clip in clips:
        groups[f"label {clip.label}" if clip.label else f"key {clip.key}"].append(clip)
    return list(groups.values())


def _view(
    clip: FilmedExample, config: EvaluatorConfig, choose: random.Random
) -> tuple[np.ndarray, str, frozenset[str]]:
    """(features of a window, a text that fits it, all texts that do), mirrored and sped up by chance.

    What another clip of the same label is told to do in more words fits this one only if it is told the same: were all
    texts of a label to fit, an evaluator would not learn what tells one squat from another.
    """
    motion, texts, label = clip.motion, clip.texts, clip.label
    if clip.mirrored_texts and choose.random() < 0.5:
        motion, texts, label = mirror(motion), clip.mirrored_texts, label and mirror_text(label)
    # The label is one of the texts, unless it is in a language that cannot be mirrored.
    text = label if label in texts and choose.random() < 0.5 else choose.choice(texts)
    speed = choose.choice(config.speeds)
    frames = min(len(motion), round(config.crop_s * choose.uniform(0.5, 1.0) * motion.fps * speed))
    start = choose.randint(0, len(motion) - frames)
    motion = change_speed(motion.cut(start, start + max(frames, 2 * FRAMES_PER_STEP)), speed)
    return encode(motion), text, frozenset(texts)


if __name__ == "__main__":
    run_program("evaluator", EvaluatorJob, run)
