"""The coaching group: what athletes could do better, as labels that were held against the measured pose."""

from collections.abc import Iterator, Sequence

import dagster as dg

from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.defs.common import spec
from posellm_assets.defs.motion import MOTION
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.poses import POSES, is_video
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, Tools, VideoAsset
from posellm_assets.endpoint import EndpointError
from posellm_assets.files import sha256_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.lake import Lake


def label(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Labels of many videos, in the order in which they came in, because a label is compared with the one before."""
    labeller = Labeller(tools.lake, tools.settings.coaching.teachers)
    for key in sorted(keys, key=lambda key: read_manifest(tools.lake, key).registered_at):
        try:
            yield key, _done(tools.lake, labeller.label(key))
        except (ValueError, OSError, EndpointError) as error:
            yield key, str(error)
    for endpoint in labeller.endpoints:
        tools.context.log.info(str(endpoint))


def _done(lake: Lake, made: CoachingLabel) -> Done:
    path = lake.coaching_label(made.key)
    points = "\n".join(
        f"- *{point.mistake_timestamp_ms / 1000:.1f} s, {point.severity}*: {point.coaching_script}"
        for point in made.feedback_points
    )
    rejected = ", ".join(f"{check} {count}" for check, count in sorted(made.rejections.items())) or "nothing"
    return Done(
        metadata={
            "points": dg.MetadataValue.md(points or made.error_message or made.positive_note or "none"),
            "status": made.status,
            "teacher": made.teacher,
            "rejected": rejected,
            "not judged": ", ".join(made.not_judged) or "nothing",
            **({} if made.progress_score is None else {"progress_score": made.progress_score}),
            **({} if made.improvement_delta is None else {"improvement_delta": made.improvement_delta}),
            "label": dg.MetadataValue.path(str(path)),
        },
        data_version=sha256_of(path),
        checks=(
            CheckOutcome("exercise_has_label", made.status == "success", made.error_message or made.status),
            CheckOutcome("all_borne_out", not made.rejected, f"rejected: {rejected}", dict(made.rejections)),
        ),
    )


COACHING_LABELS = VideoAsset(
    spec=spec(
        "coaching_labels",
        "coaching",
        "What the athlete of a video could do better, when, and how it is shown; every point is held against the "
        "measured pose, and what that does not bear out is kept apart. Motion capture has no picture, so it has none.",
        kinds={"json"},
        deps=["poses", "motion"],
        code_version="1",
    ),
    work=label,
    path=Lake.coaching_label,
    needs=(POSES, MOTION),
    applies=is_video,
    checks=(
        dg.AssetCheckSpec("exercise_has_label", asset="coaching_labels", partitions_def=videos),
        dg.AssetCheckSpec("all_borne_out", asset="coaching_labels", partitions_def=videos),
    ),
)
