"""The coaching group: what athletes could do better, as labels verified against the measured pose, and models that give
such labels."""

from collections.abc import Iterator, Sequence

import dagster as dg

from posellm_assets.checksums import forget_folder, record_folder
from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.coaching.model.answers import write_language_rows
from posellm_assets.coaching.model.config import CoachingReportJob, CoachingVisionJob
from posellm_assets.coaching.model.dataset import write_dataset
from posellm_assets.coaching.model.dataset_sources import from_lake
from posellm_assets.defs.common import every_video, listed, noted, snapshot_asset, spec
from posellm_assets.defs.motion import MOTION
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.poses import POSES, has_poses
from posellm_assets.defs.program_assets import Ran, program_asset, trained
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, Tools, VideoAsset, video_check
from posellm_assets.endpoint import EndpointError
from posellm_assets.files import read_json, sha256_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.jobs.coaching import coaching_job, coaching_report_job
from posellm_assets.lake import METRICS, SUMMARY, Lake
from posellm_assets.language.config import StageJob
from posellm_assets.reports.plain import visible


def label(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Labels of many videos, in the order in which they came in, because a label is compared with the one before."""
    labeller = Labeller(tools.lake, tools.settings.coaching.teachers)
    for key in sorted(keys, key=lambda key: read_manifest(tools.lake, key).registered_at):
        try:
            yield key, _done(tools.lake, labeller.label(key))
        except (ValueError, OSError, EndpointError) as error:
            yield key, str(error)
    for endpoint in labeller.endpoints:
        tools.context.log.info(visible(endpoint))


def _done(lake: Lake, made: CoachingLabel) -> Done:
    path = lake.coaching_label(made.key)
    points = [
        (f"{point.mistake_timestamp_ms / 1000:.1f} s, {point.severity}", point.coaching_script)
        for point in made.feedback_points
    ]
    rejected = ", ".join(f"{check} {count}" for check, count in sorted(made.rejections.items())) or "nothing"
    return Done(
        metadata={
            "points": noted(points) if points else listed([made.error_message or made.positive_note or "none"]),
            "status": made.status,
            "teacher": made.teacher,
            "rejected": rejected,
            "differs from the reference": "; ".join(one.script for one in made.differences) or "nothing",
            "not judged": ", ".join(made.not_judged) or "nothing",
            **({} if made.progress_score is None else {"progress_score": made.progress_score}),
            **({} if made.improvement_delta is None else {"improvement_delta": made.improvement_delta}),
            "label": path,
        },
        data_version=sha256_of(path),
        checks=(
            CheckOutcome(
                "exercise_has_label", made.status in ("success", "compared"), made.error_message or made.status
            ),
            CheckOutcome("all_verified", not made.rejected, f"rejected: {rejected}", dict(made.rejections)),
        ),
    )


COACHING_LABELS = VideoAsset(
    spec=spec(
        "coaching_labels",
        "coaching",
        "What the athlete of a video could do better, when, and how it is shown; every point is held against the "
        "measured pose, and what fails is kept apart. Motion capture has no picture, so it has none.",
        kinds={"json"},
        deps=["poses", "motion"],
        code_version="1",
    ),
    work=label,
    path=Lake.coaching_label,
    needs=(POSES, MOTION),
    applies=has_poses,
    checks=(
        video_check("coaching_labels", "exercise_has_label", "What the athlete does has a name, so it can be judged."),
        video_check("coaching_labels", "all_verified", "Every point that the teacher made was found in the motion."),
    ),
)


@snapshot_asset("coaching", deps=every_video("coaching_labels", "motion_tokens"), kinds={"json", "parquet"})
def coaching_dataset(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult:
    """The coaching labels of a snapshot's videos, split by participant: as chat messages, in words and with pictures,
    and with motion codes for a language model of our own."""
    here, settings = lake.opened()
    snapshot, config = read_snapshot(here, context.partition_key), settings.coaching.dataset
    out = here.coaching_dataset(snapshot.snapshot)
    examples, left_out = from_lake(here, (video.key for video in snapshot.videos))
    forget_folder(out)
    stats = write_dataset(out, examples, left_out, config)
    without_codes = write_language_rows(here, snapshot.lineage, examples, out, config.most_repeats)
    record_folder(out)
    for what, reason in [
        *((one["what"], one["reason"]) for one in stats["left_out"]),
        *((one.what, one.reason) for one in without_codes),
    ]:
        context.log.warning(visible(f"{what}: {reason}"))
    return dg.MaterializeResult(
        metadata={
            "examples": sum(of_split["examples"] for of_split in stats["splits"].values()),
            "train_rows": stats["train_rows"],
            "left out": len(stats["left_out"]),
            "without motion codes": len(without_codes),
            **{name: stats[name] for name in ("splits", "activities", "faults", "teachers")},
            "folder": out,
        }
    )


@program_asset("coaching", job=coaching_job, deps=["coaching_dataset"], kinds={"pytorch", "huggingface"})
def coaching_model(ran: Ran[StageJob | CoachingVisionJob]) -> dg.MaterializeResult:
    """A language model that reads pose facts and motion codes and answers as labels do, or a vision-language model
    that reads the facts and sees the picture (`coaching.model.kind`); a killed run resumes. It is for labels that
    say more than the rules (an endpoint's, a coach's): taught by the rules' own it knows no more than they do, and
    the small default base says it less well. Nothing in the lake uses its answers."""
    return dg.MaterializeResult(metadata=trained(ran))


@program_asset(
    "coaching",
    job=coaching_report_job,
    deps=["coaching_model"],
    kinds={"markdown"},
    checks=[
        dg.AssetCheckSpec(
            "better_than_baselines",
            asset="coaching_report",
            description="The model answers as labels do more often than the commonest label does.",
            partitions_def=snapshots,
        )
    ],
)
def coaching_report(ran: Ran[CoachingReportJob]) -> dg.MaterializeResult:
    """How the model's answers agree with the labels of participants that it has not seen, beside baselines."""
    metrics = read_json(ran.out / METRICS)
    right = {name: one["figures"]["exactly_right"]["value"] for name, one in metrics["speakers"].items()}
    own, *others = right.values() or [0.0]
    return dg.MaterializeResult(
        metadata={
            "clips": metrics["clips"],
            "report": dg.MetadataValue.md((ran.out / SUMMARY).read_text()),
            "folder": ran.out,
        },
        check_results=[
            dg.AssetCheckResult(
                passed=bool(others) and own > max(others),
                check_name="better_than_baselines",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={**right, **metrics["absent"]},
            )
        ],
    )
