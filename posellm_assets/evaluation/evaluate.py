"""Measure a trained model: `python -m posellm_assets.evaluation.evaluate JOB.json` (an `EvaluateJob`).

Writes `metrics.json` (every figure with its sample size) and `index.html` (the same for people, with generated motion
beside real motion).
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
import transformers

from posellm_assets import __version__, files
from posellm_assets.evaluation import motion_to_text, phrasings, text_to_motion
from posellm_assets.evaluation.baselines import nearest_by_text
from posellm_assets.evaluation.cases import FILE, read_cases, write_cases
from posellm_assets.evaluation.clips import (
    FilmedExample,
    MotionExample,
    originals,
    read_examples,
    read_filmed,
    segment_id,
    with_motions,
)
from posellm_assets.evaluation.config import ChampionReport, EvaluateJob
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import Figures
from posellm_assets.evaluation.gate import ModelFigures, Released, decide
from posellm_assets.evaluation.phrasings import Sentence
from posellm_assets.evaluation.recognition import Spoken, recognition
from posellm_assets.evaluation.report import render
from posellm_assets.evaluation.retention import retention
from posellm_assets.evaluation.showcase import showcase
from posellm_assets.evaluation.text_to_motion import Asked, Prompt, Sample
from posellm_assets.lake import METRICS, PAGE, REPORT
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.program import Report, run_program
from posellm_assets.texts.captions import label_words
from posellm_assets.training.curves import loss_curves


def run(job: EvaluateJob, report: Report) -> dict[str, Any]:
    """Measure the model of `job`, write metrics.json and index.html into `job.out`; returns the metrics."""
    started_s = time.process_time()
    train = read_examples(job.train)
    filmed = originals(train)
    model = MotionLM.load(job.model, job.text_encoder)
    tokenizer = MotionTokenizer.load(job.tokenizer)
    test = _readable(model, read_filmed(job.test, job.motions, tokenizer), report)
    evaluator = Evaluator.load(job.evaluator)
    size = tokenizer.codebook_size
    reconstructed = tokenizer.decode_many([clip.codes for clip in test]) if test else []
    figures = Figures()

    motion_to_text.likelihood(figures, model, test, [example.codes for example in train], size)
    said = model.text_from_motion([clip.codes for clip in test]) if test else []
    told = motion_to_text.Told(test, said, reconstructed)
    motion_to_text.naming(figures, model, train, told, size)
    motion_to_text.wording(figures, evaluator, filmed, told, size, job.seed)
    report(f"evaluation: {len(test)} held-out clips described")

    labels = sorted({example.label for example in train if example.label})
    spoken, bare, asked, left_out = _answers(job, model, tokenizer, train, test, reconstructed)
    judged = recognition(figures, evaluator, labels, spoken, bare, test, reconstructed)
    generated = [*spoken.samples, *bare, *(sample for draw in asked.draws for sample in draw)]
    text_to_motion.validity(figures, generated)
    text_to_motion.held_out_texts(figures, evaluator, asked, job.seed)
    text_to_motion.agreement_with_held_out(figures, asked, filmed, test, job.seed)
    report(f"evaluation: {len(generated)} motions generated and judged")

    metrics: dict[str, Any] = {
        **figures.to_json(),
        "labels": labels,
        "test_clips": len(test),
        "test_clips_filmed": sum("source_skeleton" not in clip.motion.parameters for clip in test),
        "test_clips_rendered": sum(clip.key in job.rendered for clip in test),
        "said": [
            {"key": clip.key, "segment": clip.segment, "label": clip.label, "text": text}
            for clip, text in zip(test, said, strict=True)
        ],
        "sentences": judged,
        "sentences_left_out": [one.text for one in left_out],
        "provenance": _provenance(job, tokenizer.lineage),
    }
    champion = _champion(job.champion) if job.champion else None
    outcome = decide(ModelFigures(figures.overall, figures.absent, figures.cases), champion, job.config.gate)
    metrics["decision"] = outcome.model_dump(mode="json")
    generations = {name: read_cases(folder / FILE) for name, folder in job.earlier.items()}
    metrics["retention"] = retention({**generations, job.generation: figures.cases}) if generations else []
    metrics["seconds"] = round(time.process_time() - started_s, 1)
    page = render(
        metrics,
        champion=champion.measured.figures if champion and champion.measured else None,
        losses={stage: loss_curves(path) for stage, path in job.losses.items()},
        rows=showcase(evaluator, labels, asked, spoken.samples, dict(zip(map(segment_id, test), said, strict=True))),
    )
    files.write_bytes(job.out / PAGE, page.encode())
    write_cases(job.out / FILE, figures.cases)
    files.write_json(job.out / METRICS, metrics)
    report(f"evaluation: report written to {job.out / PAGE} after {metrics['seconds']} s")
    return metrics


def _readable(model: MotionLM, test: Sequence[FilmedExample], report: Report) -> list[FilmedExample]:
    """The clips without texts that leave no room for motion in what the model reads; training leaves them out too."""
    clips = [replace(clip, texts=tuple(text for text in clip.texts if model.has_room(text))) for clip in test]
    if shorter := [clip.about for before, clip in zip(test, clips, strict=True) if clip.texts != before.texts]:
        report(f"evaluation: not asked for are texts too long for the model, of {', '.join(shorter)}")
    return clips


def _champion(report: ChampionReport) -> Released:
    videos = files.read_json(report.manifest)["videos"]
    return Released(
        name=report.snapshot,
        keys={video["key"] for video in videos},
        labels={label_words(video["label"]) for video in videos if video["split"] == "train" and video["label"]},
        measured=ModelFigures.read(report.report) if report.report else None,
    )


def _answers(
    job: EvaluateJob,
    model: MotionLM,
    tokenizer: MotionTokenizer,
    train: Sequence[MotionExample],
    test: Sequence[FilmedExample],
    reconstructed: Sequence[Motion],
) -> tuple[Spoken, list[Sample], Asked, list[Sentence]]:
    """Motions generated from sentences, from bare labels and from held-out texts, and the sentences that were not
    asked because they were taught."""
    filmed, config = originals(train), job.config
    sports = text_to_motion.label_sports(filmed)
    sentences, left_out = _sentences(job, model, train, sports)
    clips = text_to_motion.asked_clips(test, config.texts, job.seed)
    of_sentences: list[Prompt] = [(one.text, sports[one.label], one.label) for one in sentences]
    repeats = range(config.samples_per_label)
    of_labels: list[Prompt] = [(label, sport, label) for _ in repeats for label, sport in sports.items()]
    of_clips = [(clip.texts[-1], clip.sport, clip.label) for clip in clips] * config.samples_per_text
    # All at once, because full batches are what makes it quick.
    prompts = [*of_sentences, *of_labels, *of_clips]
    samples = iter(text_to_motion.generate(model, tokenizer, prompts, job.sampling, job.seed))
    by_sentence, by_label, by_clip = (list(islice(samples, len(part))) for part in (of_sentences, of_labels, of_clips))
    nearest = _nearest(job, tokenizer, filmed, [*(one.text for one in sentences), *(clip.texts[-1] for clip in clips)])
    asked = Asked(
        clips=clips,
        draws=[by_clip[start : start + len(clips)] for start in range(0, len(by_clip), len(clips) or 1)],
        nearest=nearest[len(sentences) :],
        reconstructed=_of(clips, test, reconstructed),
    )
    return Spoken(sentences, by_sentence, nearest[: len(sentences)]), by_label, asked, left_out


def _sentences(
    job: EvaluateJob, model: MotionLM, train: Sequence[MotionExample], sports: Mapping[str, str]
) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to ask, and those that the model was taught, so that they say nothing."""
    told = {name.text for movement in model.taught.movements.values() for name in movement.names}
    taught = {text for example in train for text in example.texts} | model.taught.texts.keys() | told
    names = {label: job.names.get(label, {"en": label}) for label in sports}
    asked, left_out = phrasings.sentences(names, taught, job.config, job.seed)
    return [one for one in asked if model.has_room(one.text)], left_out


def _nearest(
    job: EvaluateJob, tokenizer: MotionTokenizer, filmed: Sequence[MotionExample], texts: Sequence[str]
) -> list[FilmedExample]:
    """For each text the training clip with the most similar one, and its motion."""
    nearest = nearest_by_text([example.texts for example in filmed], texts)
    # Only these videos' motions are read: a lake holds more than an evaluation needs.
    keys = {filmed[index].key for index in nearest}
    needed = [example for example in filmed if example.key in keys]
    real = {segment_id(clip): clip for clip in with_motions(needed, job.motions, tokenizer)}
    return [real[segment_id(filmed[index])] for index in nearest]


def _of(clips: Sequence[FilmedExample], test: Sequence[FilmedExample], motions: Sequence[Motion]) -> list[Motion]:
    """Those of the `motions` of `test` that belong to `clips`."""
    of_test = dict(zip(map(segment_id, test), motions, strict=True))
    return [of_test[segment_id(clip)] for clip in clips]


def _provenance(job: EvaluateJob, lineage: str) -> dict[str, Any]:
    """Where the figures come from: settings, seed, versions, the snapshot, the reports of tokenizer and evaluator."""
    reports = {"tokenizer": job.tokenizer / REPORT, "evaluator": job.evaluator / REPORT}
    return {
        "seed": job.seed,
        "settings": {
            **job.config.model_dump(mode="json", exclude={"evaluator"}),
            "sampling": job.sampling.model_dump(mode="json"),
        },
        "model": job.model.name,
        "tokenizer_lineage": lineage,
        "versions": {
            "posellm-assets": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "snapshot": files.read_json(job.snapshot) if job.snapshot else None,
        **{name: files.read_json(path) if path.exists() else None for name, path in reports.items()},
    }


if __name__ == "__main__":
    run_program("evaluation", EvaluateJob, run)
