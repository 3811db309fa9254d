"""Measures a coaching model on participants that it has not seen: `python -m posellm_assets.coaching.model.report`."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from posellm_assets.coaching.model.answer_metrics import MEANINGS, agreement
from posellm_assets.coaching.model.answers import SaidLabel, read_answer, read_rows, read_teacher_answer
from posellm_assets.coaching.model.answers import row as as_row
from posellm_assets.coaching.model.config import CoachingReportJob
from posellm_assets.coaching.model.dataset import PictureRow, UnusableCoaching, read_picture_rows
from posellm_assets.files import write_bytes, write_json
from posellm_assets.lake import METRICS, SUMMARY
from posellm_assets.program import Report, run_program
from posellm_assets.reports.markdown import escaped, table
from posellm_assets.reports.rendered import about_rendered

MODEL, COMMONEST, NOTHING = "the model", "commonest label of the exercise", "nothing is wrong"
VISION_MODEL = "the vision-language model"
Asked = tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]
"""Rows that were trained on, rows of the test, and what the model says about the latter."""
NO_TEST = "the test split has no labelled clip: label footage of participants who fall into it"


def evaluate(job: CoachingReportJob, report: Report) -> dict[str, Any]:
    """Let the model answer about every test clip; write `metrics.json` and `report.md` to `job.out`.

    Raises UnusableCoaching where rows or pictures cannot be read.
    """
    vision = job.kind == "vision"
    name, read = (VISION_MODEL, read_teacher_answer) if vision else (MODEL, read_answer)
    train, test, texts = _asked_with_pictures(job) if vision else _asked_with_codes(job)
    labels = [_label(row) for row in test]
    speakers: dict[str, list[SaidLabel | None]] = {}
    if test:
        common = commonest(train)
        speakers = {
            name: [read(text) for text in texts],
            COMMONEST: [common.get(row["exercise"], SaidLabel(feedback_points=())) for row in test],
            NOTHING: [SaidLabel(feedback_points=())] * len(test),
        }
    content: dict[str, Any] = {
        "clips": len(test),
        "rendered": sum(row["key"] in job.rendered for row in test),
        "clips_by_exercise": dict(Counter(row["exercise"] for row in test)),
        "train_clips": len({row["key"] for row in train}),
        "points": sum(len(label.feedback_points) for label in labels),
        "speakers": {name: _measured(labels, answers) for name, answers in speakers.items()},
        "absent": {} if test else {name: NO_TEST},
        "answers": [
            {"key": row["key"], "label": row["texts"][0], "answer": text} for row, text in zip(test, texts, strict=True)
        ],
    }
    write_json(job.out / METRICS, content)
    write_bytes(job.out / SUMMARY, page(content).encode())
    report(f"{len(test)} test clips answered")
    return content


def commonest(train: Sequence[dict[str, Any]]) -> dict[str, SaidLabel]:
    """By exercise, a label whose faults and sides are the commonest among its training clips."""
    of_exercise: dict[str, dict[str, SaidLabel]] = defaultdict(dict)
    for row in train:
        of_exercise[row["exercise"]][row["key"]] = _label(row)
    found = {}
    for exercise, labels in of_exercise.items():
        told = {key: frozenset((p.fault, p.side or "") for p in label.feedback_points) for key, label in labels.items()}
        most = max(sorted(Counter(told.values()).items(), key=lambda item: sorted(item[0])), key=lambda item: item[1])[
            0
        ]
        found[exercise] = labels[min(key for key, what in told.items() if what == most)]
    return found


def page(content: dict[str, Any]) -> str:
    """The report as Markdown: the figures of the model and the baselines with their intervals and sample sizes."""
    speakers = content["speakers"]
    rows = [
        [name, *(_cell(of_speaker["figures"].get(name)) for of_speaker in speakers.values()), meaning]
        for name, meaning in MEANINGS.items()
    ]
    parts = [
        f"# Coaching model: {content['clips']} clips of participants it has not seen, {content['points']} points",
        *filter(None, [about_rendered(content["rendered"], content["clips"])]),
        *(escaped(f"{name}: {reason}") for name, reason in content["absent"].items()),
        table(["", *speakers, "what it is"], rows),
    ]
    return "\n\n".join(parts) + "\n"


def _asked_with_codes(job: CoachingReportJob) -> Asked:
    from posellm_assets.language.decoding import MotionLM

    train, test = read_rows(job.train), read_rows(job.test)
    if not test:
        return train, test, []
    model = MotionLM.load(job.model)
    return train, test, model.text_from_motion([row["codes"] for row in test], [row["question"] for row in test])


def _asked_with_pictures(job: CoachingReportJob) -> Asked:
    from posellm_assets.coaching.model.vision_coach import VisionCoach

    train, test = read_picture_rows(job.train), read_picture_rows(job.test)
    texts = VisionCoach.load(job.model).answers(test) if test else []
    return [_without_picture(one) for one in train], [_without_picture(one) for one in test], texts


def _without_picture(one: PictureRow) -> dict[str, Any]:
    label = read_teacher_answer(one.answer)
    if label is None:
        raise UnusableCoaching(f"{one.id} is no label that this version knows; make the data set again")
    return as_row(one.id, one.activity, one.question, label, [])


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "none to measure"
    between = f", {figure['interval'][0]:.2f} to {figure['interval'][1]:.2f}" if figure["interval"] else ""
    return f"{figure['value']:.2f} (n={figure['n']}{between})"


def _measured(labels: Sequence[SaidLabel], answers: Sequence[SaidLabel | None]) -> dict[str, Any]:
    figures, absent = agreement(labels, answers)
    return {"figures": {name: one.model_dump(mode="json") for name, one in figures.items()}, "absent": absent}


def _label(row: dict[str, Any]) -> SaidLabel:
    return SaidLabel.model_validate_json(row["texts"][0])


if __name__ == "__main__":
    run_program("coaching report", CoachingReportJob, evaluate)
