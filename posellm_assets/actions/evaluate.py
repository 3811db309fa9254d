"""Measures a recogniser on held-out clips: `python -m posellm_assets.actions.evaluate JOB.json` writes its report."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from posellm_assets.actions.config import ReportJob
from posellm_assets.actions.dataset.clips import ActionDataset, ActionExample, read_dataset
from posellm_assets.actions.gate import Named, decide
from posellm_assets.actions.members.calibration import calibration_error, coverage, reliability
from posellm_assets.actions.members.classifier import summary
from posellm_assets.actions.members.ensemble import NAME as ENSEMBLE
from posellm_assets.actions.members.ensemble import EnsembleAnswer
from posellm_assets.actions.members.members import ActionClip, cases_of, labelled_motions
from posellm_assets.actions.members.opinions import NONE, Opinion
from posellm_assets.actions.recogniser import ActionRecogniser
from posellm_assets.actions.report import render
from posellm_assets.files import write_bytes, write_json
from posellm_assets.keys import sport_of
from posellm_assets.lake import METRICS, PAGE
from posellm_assets.program import Report, run_program
from posellm_assets.reports.metrics import Figure, accuracy, confusion, majority_label, resampled, share

_MISTAKES = 12


def evaluate(job: ReportJob, report: Report) -> dict[str, Any]:
    """Write `metrics.json` and `index.html` to `job.out`; returns the metrics.

    The recogniser in use is asked about the same clips, and the gate says whether this one is to take its place. Raises
    ValueError where the split has no clip.
    """
    dataset = read_dataset(job.dataset)
    examples = dataset.of(job.split)
    if not examples:
        raise ValueError(f"{job.dataset} has no clip in the {job.split} split; add footage of more participants")
    all_cases = cases_of(dataset, examples, job.motions)
    # Before the new one is loaded, so that the models of only one lie in memory.
    rival = _rival(job, all_cases, report)
    recogniser = ActionRecogniser(job.recogniser, job.config)
    answers = recogniser.decide(all_cases)
    taught = [example.class_id in recogniser.label_set.ids for example in examples]
    if not any(taught):
        raise ValueError(f"{job.dataset} has no clip in the {job.split} split of a class with a clip in train")
    cases, decided = list(compress(all_cases, taught)), list(compress(answers, taught))
    truth = [example.class_id for example in compress(examples, taught)]
    classes = [one.id for one in recogniser.label_set.classes]
    members = {ENSEMBLE: measured(decided, truth, classes)}
    for name, opinions in recogniser.opinions(cases).items():
        calibrated = [one and recogniser.ensemble.calibrated(one) for one in opinions]
        members[name] = measured(calibrated, truth, classes)
        raw = measured(opinions, truth, classes)
        members[name] |= {
            "calibration_error_raw": raw.get("calibration_error"),
            "temperature": recogniser.ensemble.temperatures[name],
            "weight": recogniser.ensemble.weights[name],
        }
    mistakes = _mistakes(examples, answers, recogniser.label_set.ids)
    against = job.rival.name if job.rival else None
    sports = [sport_of(example.key) if example.key else dataset.label_set.sport for example in examples]
    outcome = decide([one.class_id for one in examples], sports, _named(recogniser, answers), rival, against)
    metrics = {
        "split": job.split,
        "clips": len(cases),
        "rendered": sum(example.key in job.rendered for example in examples),
        "participants": len({example.participant for example in examples if example.participant}),
        "classes": {class_id: recogniser.label_set[class_id].name("en") for class_id in classes},
        "members": members,
        "none_of_these": none_of_these(answers, [one.class_id for one in examples], taught),
        "absent": recogniser.absent,
        "rule": recogniser.ensemble.rule,
        "baselines": _baselines(dataset, job.motions, cases, truth),
        "mistakes": mistakes,
        "decision": outcome.model_dump(mode="json"),
        "provenance": {
            "recogniser": str(job.recogniser),
            "dataset": str(job.dataset),
            "seed": job.seed,
            **recogniser.record.model_dump(
                include={"training_clips", "validation_clips", "familiarity", "cpu_seconds"}, mode="json"
            ),
        },
    }
    write_json(job.out / METRICS, metrics)
    shown = dict(zip([example.id for example in examples], all_cases, strict=True))
    mistaken = {mistake["id"]: shown[mistake["id"]] for mistake in mistakes}
    write_bytes(job.out / PAGE, render(metrics, mistaken).encode())
    figure = members[ENSEMBLE]["accuracy"]
    report(f"{job.split}: {figure['value']:.3f} of {figure['n']} clips named")
    return metrics


def _rival(job: ReportJob, cases: Sequence[ActionClip], report: Report) -> Named | None:
    """What the recogniser in use names the clips; None where there is none, or one of its models is gone."""
    if job.rival is None:
        return None
    try:
        recogniser = ActionRecogniser(job.rival.folder, job.config)
    except FileNotFoundError as error:
        report(f"{job.rival.name}, the recogniser in use, cannot be asked: {error}")
        return None
    return _named(recogniser, recogniser.decide(cases))


def _named(recogniser: ActionRecogniser, decided: Sequence[EnsembleAnswer | None]) -> Named:
    return Named(recogniser.label_set.ids, [one.action if one else None for one in decided])


def measured(
    said: Sequence[Opinion | EnsembleAnswer | None], truth: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """The figures of one member over clips of known classes.

    Where it had no opinion, or said that it is none of the classes, it is wrong and has no confidence.
    """
    named = [one.action if one and one.action != NONE else None for one in said]
    heard = [(one, class_id) for one, class_id in zip(said, truth, strict=True) if one and one.action != NONE]
    counts = np.array(confusion(truth, named, classes))
    sure = np.array([one.confidence for one, _ in heard])
    right = np.array([one.action == class_id for one, class_id in heard])
    numbers = np.array([list(classes).index(class_id) for class_id in truth])
    guesses = np.array([list(classes).index(name) if name else len(classes) for name in named])
    figures: dict[str, Any] = {
        "accuracy": accuracy(truth, named).model_dump(),
        "macro_f1": resampled(lambda chosen: macro_f1(numbers[chosen], guesses[chosen]), len(truth)).model_dump(),
        "opinions": len(heard),
        "confusion": counts.tolist(),
        "by_class": _by_class(counts, classes),
        "seconds_per_clip": float(np.mean([one.seconds for one, _ in heard])) if heard else None,
    }
    if heard:
        figures |= {
            "calibration_error": resampled(
                lambda chosen: calibration_error(sure[chosen].tolist(), right[chosen].tolist()), len(heard)
            ).model_dump(),
            "reliability": [vars(one) for one in reliability(sure.tolist(), right.tolist())],
            "coverage": coverage(sure.tolist(), right.tolist()),
        }
    return figures


def none_of_these(
    said: Sequence[EnsembleAnswer | None], truth: Sequence[str], taught: Sequence[bool]
) -> dict[str, Any]:
    """How many clips of known and of never taught classes are named, and risk over coverage of all of them together.

    `risk` holds curves of (share of the clips that are named, share of these that are named wrongly), the most familiar
    or the surest first, and the area under each (Geifman and El-Yaniv 2017); naming what was never taught is wrong.
    """
    named = np.array([one is not None and one.action != NONE for one in said])
    known = np.array(taught, bool)
    answered = [(one, class_id) for one, class_id in zip(said, truth, strict=True) if one]
    right = [one.likeliest == class_id for one, class_id in answered]
    scores = {
        "familiarity": [1.0 if one.familiarity is None else one.familiarity for one, _ in answered],
        "confidence": [one.confidence for one, _ in answered],
    }
    curves = {
        by: [(share_of, 1 - accurate) for share_of, accurate in coverage(score, right)] if answered else []
        for by, score in scores.items()
    }
    wrong = [one.action != NONE and not fits for (one, _), fits in zip(answered, right, strict=True)]
    return {
        "known_named": share(int(named[known].sum()), int(known.sum())).model_dump(),
        "unknown_named": share(int(named[~known].sum()), int((~known).sum())).model_dump() if (~known).any() else None,
        "named_right": share(int(named.sum()) - sum(wrong), int(named.sum())).model_dump() if named.any() else None,
        "risk": curves,
        "area": {
            by: resampled(partial(_area, np.array(score), np.array(right)), len(answered)).model_dump()
            for by, score in scores.items()
            if answered
        },
    }


def _area(score: np.ndarray, right: np.ndarray, chosen: np.ndarray) -> float:
    """Under the curve of risk over coverage of the chosen clips."""
    curve = coverage(score[chosen].tolist(), right[chosen].tolist())
    widths = np.diff([0.0, *(covered for covered, _ in curve)])
    return float(np.dot(widths, [1 - accurate for _, accurate in curve]))


def macro_f1(truth: np.ndarray, named: np.ndarray) -> float:
    """The mean F1 over the classes that occur in truth (class numbers)."""
    scores = []
    for number in np.unique(truth):
        hit = ((truth == number) & (named == number)).sum()
        scores.append(2 * hit / ((truth == number).sum() + (named == number).sum()))
    return float(np.mean(scores))


def _by_class(counts: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for index, class_id in enumerate(classes):
        clips, named, hit = int(counts[index].sum()), int(counts[:, index].sum()), int(counts[index, index])
        rows.append(
            {
                "class": class_id,
                "clips": clips,
                "recall": hit / clips if clips else None,
                "precision": hit / named if named else None,
                "f1": 2 * hit / (clips + named) if clips else None,
            }
        )
    return rows


def _baselines(
    dataset: ActionDataset, motions: dict[str, Path], cases: Sequence[ActionClip], truth: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The commonest class of the training clips, and that of the training clip with the nearest motion statistics."""
    fit = dataset.of("train")
    common = majority_label([example.class_id for example in fit])
    found: dict[str, Figure] = {"majority": accuracy(truth, [common] * len(truth))}
    known = labelled_motions(fit, cases_of(dataset, fit, motions), dataset.label_set)
    asked = [max(case.motion.segments(0), key=len, default=None) if case.motion else None for case in cases]
    if known and any(asked):
        rows = np.stack([summary(one.motion) for one in known])
        deviation = rows.std(0) + 0.02
        nearest = [
            known[int(np.abs((rows - summary(motion)) / deviation).mean(1).argmin())].class_id if motion else None
            for motion in asked
        ]
        found["nearest neighbour"] = accuracy(truth, nearest)
    return {name: figure.model_dump() for name, figure in found.items()}


def _mistakes(
    examples: Sequence[ActionExample], decided: Sequence[EnsembleAnswer | None], taught: Collection[str]
) -> list[dict[str, Any]]:
    """The clips named wrongly, or not at all, those that the ensemble was surest of first."""
    wrong = [
        (one, example)
        for one, example in zip(decided, examples, strict=True)
        if one and one.action != (example.class_id if example.class_id in taught else NONE)
    ]
    wrong.sort(key=lambda pair: -pair[0].confidence)
    return [
        {
            "id": example.id,
            "true": example.class_id,
            "named": one.action,
            "likeliest": one.likeliest,
            "confidence": one.confidence,
            "familiarity": one.familiarity,
            "of_the_true_class": one.probabilities.get(example.class_id, 0.0),
            "participant": example.participant,
            "said": {name: result["action"] for name, result in one.opinions.items()},
        }
        for one, example in wrong[:_MISTAKES]
    ]


if __name__ == "__main__":
    run_program("report on actions", ReportJob, evaluate)
