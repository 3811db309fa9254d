"""Fits the motion classifier and the ensemble on a dataset of actions: `python -m ...train_recogniser JOB.json`.

The classifier (and VideoMAE's head, where its weights are present) learn from the training clips; the members'
temperatures and weights come from the validation clips. What the language model and the vision-language model know they
have learned elsewhere, from training clips of the same split.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from posellm_assets.actions.config import RecogniserJob
from posellm_assets.actions.dataset.clips import ActionDataset, ActionExample, read_dataset
from posellm_assets.actions.members.classifier import MotionClassifier
from posellm_assets.actions.members.ensemble import Ensemble
from posellm_assets.actions.members.members import ActionClip, cases_of, labelled_motions
from posellm_assets.actions.members.opinions import LANGUAGE, MOTION, VIDEO_MAE, VISION
from posellm_assets.actions.recogniser import load_members
from posellm_assets.actions.record import RecogniserRecord
from posellm_assets.program import Report, run_program


def train(job: RecogniserJob, report: Report) -> RecogniserRecord:
    """Write the recogniser to `job.out` and return its record. Raises ValueError where nobody could learn anything."""
    started = time.process_time()
    dataset = read_dataset(job.dataset)
    fit, held_out = dataset.of("train"), dataset.of("val")
    classes = list(dict.fromkeys(one.id for one in dataset.label_set.classes))
    cases = {example.id: case for example, case in _with_cases(dataset, [*fit, *held_out], job)}
    models, absent = _members(job, dataset, fit, [cases[example.id] for example in fit], classes)
    members = load_members(job.out, models, dataset.label_set)
    asked = [cases[example.id] for example in held_out]
    truth = [example.class_id for example in held_out]
    said = {member.name: member.opinions(asked) for member in members}
    ensemble = Ensemble.fit(said, truth, job.config.rule, job.config.threshold)
    record = RecogniserRecord(
        label_set=dataset.label_set,
        members=models,
        absent=absent,
        ensemble=ensemble,
        training_clips=len(fit),
        validation_clips=len(held_out),
        seed=job.seed,
        cpu_seconds=round(time.process_time() - started, 2),
    )
    record.write(job.out)
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in ensemble.weights.items())
    report(f"weights on {len(held_out)} validation clips: {weights}")
    return record


def _with_cases(
    dataset: ActionDataset, examples: Sequence[ActionExample], job: RecogniserJob
) -> list[tuple[ActionExample, ActionClip]]:
    return list(zip(examples, cases_of(dataset, examples, job.motions), strict=True))


def _members(
    job: RecogniserJob,
    dataset: ActionDataset,
    fit: Sequence[ActionExample],
    cases: Sequence[ActionClip],
    classes: list[str],
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The models of each member as paths from `job.out`, those that learn here freshly trained; and who is absent."""
    models: dict[str, dict[str, Path]] = {}
    absent: dict[str, str] = {}
    if job.vision_model:
        models[VISION] = {"model": job.vision_model}
    else:
        absent[VISION] = "no vision-language model has been trained on these clips"
    if job.config.video_mae:
        from posellm_assets.actions.members.video_mae import VideoMaeMember

        truth = [example.class_id for example in fit]
        VideoMaeMember.fit(job.config.video_mae, cases, truth, classes).save(job.out / VIDEO_MAE)
        models[VIDEO_MAE] = {"model": job.config.video_mae, "head": job.out / VIDEO_MAE}
    else:
        absent[VIDEO_MAE] = "recognition.video_mae names no folder with its weights"
    if job.language_model and job.tokenizer:
        models[LANGUAGE] = {"model": job.language_model, "tokenizer": job.tokenizer}
    else:
        absent[LANGUAGE] = "no language model has been trained on this snapshot"
    moves = labelled_motions(fit, cases, dataset.label_set)
    if len({move.class_id for move in moves}) > 1:
        MotionClassifier.fit(moves, classes, job.seed).save(job.out / MOTION)
        models[MOTION] = {"model": job.out / MOTION}
    else:
        absent[MOTION] = "fewer than two classes have clips in which somebody could be followed"
    if not models:
        raise ValueError(f"nobody can be asked about the classes of {job.dataset}: {'; '.join(absent.values())}")
    relative = {
        name: {what: os.path.relpath(path.resolve(), job.out.resolve()) for what, path in paths.items()}
        for name, paths in models.items()
    }
    return relative, absent


if __name__ == "__main__":
    run_program("recogniser", RecogniserJob, train)
