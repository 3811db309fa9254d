"""Fits the motion classifier and the ensemble on a dataset of actions: `python -m ...train_recogniser JOB.json`.

The classifier (and VideoMAE's head, where its weights are present) learn from the training clips, which say which
classes there are; temperatures, weights and who is asked at all come from the validation clips of these classes. What
the language model and the vision-language model know they have learned elsewhere, from training clips of the same
split. How unlike the known a movement must be to be none of them comes from clips of people not learned from.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from posellm_assets.actions.config import RecogniserJob
from posellm_assets.actions.dataset.clips import ActionExample, read_dataset
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import LabelledMotion, MotionClassifier
from posellm_assets.actions.members.ensemble import Ensemble, spared
from posellm_assets.actions.members.familiarity import FAMILIARITY, Familiarity
from posellm_assets.actions.members.members import ActionClip, cases_of, labelled_motions
from posellm_assets.actions.members.opinions import LANGUAGE, MOTION, VIDEO_MAE, VISION
from posellm_assets.actions.recogniser import load_members
from posellm_assets.actions.record import FamiliarityRecord, RecogniserRecord
from posellm_assets.program import Report, run_program


def train(job: RecogniserJob, report: Report) -> RecogniserRecord:
    """Write the recogniser to `job.out` and return its record. Raises ValueError where nobody could learn anything."""
    started = time.process_time()
    dataset = read_dataset(job.dataset)
    fit, held_out = dataset.of("train"), dataset.of("val")
    label_set = dataset.label_set.among(_taught(fit, dataset.label_set))
    known = [example for example in held_out if example.class_id in label_set.ids]
    unknown = [example for example in held_out if example.class_id not in label_set.ids]
    learned_from, asked, never_taught = (cases_of(dataset, clips, job.motions) for clips in (fit, known, unknown))
    moves = labelled_motions(fit, learned_from, label_set)
    models, absent = _members(job, fit, learned_from, moves, label_set)
    truth = [example.class_id for example in known]
    said = {one.name: one.opinions(asked) for one in load_members(job.out, models, label_set)}
    needless = spared(said, truth)
    heard = {name: opinions for name, opinions in said.items() if name not in needless}
    longest = [
        labelled_motions(clips, cases, label_set, longest=True)
        for clips, cases in ((fit, learned_from), (known, asked), (unknown, never_taught))
    ]
    familiarity = _familiarity(job, *longest)
    if isinstance(familiarity, str):
        needless[FAMILIARITY] = familiarity
    record = RecogniserRecord(
        label_set=label_set,
        members={name: model for name, model in models.items() if name in heard},
        absent=absent | needless,
        ensemble=Ensemble.fit(heard, truth, job.config.rule, job.config.threshold),
        familiarity=None if isinstance(familiarity, str) else familiarity,
        training_clips=len(fit),
        validation_clips=len(known),
        seed=job.seed,
        cpu_seconds=round(time.process_time() - started, 2),
    )
    record.write(job.out)
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in record.ensemble.weights.items())
    report(f"weights on {len(known)} validation clips: {weights}")
    for name, why in needless.items():
        report(f"{name} is not asked: {why}")
    return record


def _taught(fit: Sequence[ActionExample], label_set: LabelSet) -> set[str]:
    """The classes of the training clips, and of what they are in the mirror."""
    classes, mirrored = {example.class_id for example in fit}, label_set.mirrored()
    return classes | {mirrored[class_id] for class_id in classes if class_id in mirrored}


def _familiarity(
    job: RecogniserJob,
    taught: Sequence[LabelledMotion],
    held_out: Sequence[LabelledMotion],
    others: Sequence[LabelledMotion],
) -> FamiliarityRecord | str:
    """Learn what is familiar and how well that keeps out what was never taught; or why it cannot be learned."""
    if not taught:
        return "in no training clip somebody could be followed"
    try:
        never_taught = [one.motion for one in others]
        familiarity, clips = Familiarity.fit(taught, held_out, never_taught, job.config.windows, job.seed)
    except ValueError as error:
        return str(error)
    familiarity.save(job.out / FAMILIARITY)
    return FamiliarityRecord(clips=clips, held_out=len(held_out), others=len(others))


def _members(
    job: RecogniserJob,
    fit: Sequence[ActionExample],
    cases: Sequence[ActionClip],
    moves: Sequence[LabelledMotion],
    label_set: LabelSet,
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The models of each member as paths from `job.out`, those that learn here freshly trained; and who is absent."""
    models: dict[str, dict[str, Path]] = {}
    absent: dict[str, str] = {}
    classes = [one.id for one in label_set.classes]
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
