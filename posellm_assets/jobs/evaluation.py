"""The jobs of the evaluator and of the report on a generation."""

from pathlib import Path

from posellm_assets.evaluation.cases import FILE as CASES
from posellm_assets.evaluation.config import ChampionReport, EvaluateJob, EvaluatorJob
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.releases import rival
from posellm_assets.generations.snapshots import Snapshot, motions_of, read_snapshot, rendered_in, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings
from posellm_assets.texts.captions import label_words
from posellm_assets.texts.config import Language
from posellm_assets.texts.glossary import glossary_of, named

CHAMPION = "champion"
"""Folder of a report that holds the released model's figures on the same clips."""


def evaluator_job(lake: Lake, settings: Settings, snapshot_key: str) -> EvaluatorJob:
    """The retrieval model that judges generated motion, from a snapshot's train participants."""
    snapshot = read_snapshot(lake, snapshot_key)
    codebook = Codebook.of(lake, snapshot.lineage)
    return EvaluatorJob(
        train=lake.examples(snapshot_key, "train"),
        test=lake.examples(snapshot_key, "test"),
        motions=motions_of(lake, snapshot),
        frames_per_step=codebook.frames_per_step,
        codes_per_step=codebook.codes_per_step,
        out=lake.evaluator(snapshot_key),
        seed=settings.seed,
        config=settings.evaluation.evaluator,
    )


def rival_job(lake: Lake, settings: Settings, snapshot_key: str) -> EvaluateJob | None:
    """The released model on a generation's clips; None where there is none, or none of the same codes."""
    snapshot = read_snapshot(lake, snapshot_key)
    released = rival(lake, "language", snapshot_key)
    if released is None or released.lineage != snapshot.lineage:
        return None
    return _measure(lake, settings, snapshot, released.path(lake), lake.report(snapshot_key) / CHAMPION)


def report_job(lake: Lake, settings: Settings, snapshot_key: str) -> EvaluateJob:
    """The finished model of a generation, beside what `rival_job` gave and the generations before."""
    snapshot, stages = read_snapshot(lake, snapshot_key), settings.language.stages
    out, released = lake.report(snapshot_key), rival(lake, "language", snapshot_key)
    job = _measure(lake, settings, snapshot, lake.finished_model(snapshot_key, stages[-1].name), out)
    champion = released and ChampionReport(
        snapshot=released.name,
        manifest=lake.snapshot(released.name),
        report=out / CHAMPION if released.lineage == snapshot.lineage else None,
    )
    losses = {stage.name: lake.losses(snapshot_key, stage.name) for stage in stages}
    return job.model_copy(update={"losses": losses, "earlier": _earlier_reports(lake, snapshot), "champion": champion})


def _measure(lake: Lake, settings: Settings, snapshot: Snapshot, model: Path, out: Path) -> EvaluateJob:
    return EvaluateJob(
        model=model,
        tokenizer=lake.tokenizer(snapshot.lineage),
        evaluator=lake.evaluator(snapshot.snapshot),
        train=lake.examples(snapshot.snapshot, "train"),
        test=lake.examples(snapshot.snapshot, "test"),
        motions=motions_of(lake, snapshot),
        names=_names(lake, settings, snapshot),
        rendered=rendered_in(snapshot),
        sampling=settings.language.sampling,
        text_encoder=settings.language.text_encoder,
        snapshot=lake.snapshot(snapshot.snapshot),
        generation=snapshot.snapshot,
        out=out,
        seed=settings.seed,
        config=settings.evaluation,
    )


def _names(lake: Lake, settings: Settings, snapshot: Snapshot) -> dict[str, dict[Language, str]]:
    """What each label of the training clips is called in the languages that captions are written in: in its owner's
    own as it is, in the others where a glossary knows it."""
    videos = {label_words(video.label): video for video in snapshot.videos if video.split == "train" and video.label}
    languages, names = settings.texts.languages, dict[str, dict[Language, str]]()
    for label, video in sorted(videos.items()):
        owners = read_manifest(lake, video.key).language or languages[0]
        glossary = glossary_of(video.sport, lake)
        named_in = {
            language: [label] if language == owners else named(label, language, glossary) for language in languages
        }
        names[label] = {language: found[0] for language, found in named_in.items() if found}
    return names


def _earlier_reports(lake: Lake, snapshot: Snapshot) -> dict[str, Path]:
    """The report folders of the earlier generations of a scope that use the same codes and were measured by case."""
    keys = snapshot_keys(lake, snapshot.scope)
    reports = {key: lake.report(key) for key in keys[: keys.index(snapshot.snapshot)]}
    return {
        key: folder
        for key, folder in reports.items()
        if (folder / CASES).is_file() and read_snapshot(lake, key).lineage == snapshot.lineage
    }
