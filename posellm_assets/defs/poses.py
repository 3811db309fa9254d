"""The poses group: landmarks per frame and person, their checks, and a contact sheet that a person can look at."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pyarrow.parquet as pq

from posellm_assets.defs.common import columns, jpeg, spec
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, Tools, VideoAsset
from posellm_assets.files import sha256_of
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.video import VideoInfo
from posellm_assets.lake import Lake
from posellm_assets.poses.extract import PoseItem, PoseSummary, extract_clips
from posellm_assets.problems import sentence

BLOCKING = ("schema", "person_coverage", "body_in_view", "bone_length_stability")
WARNING = ("hidden_joints", "left_right_swaps", "jitter", "frame_rate", "damaged_packets")


def extract_poses(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Poses of many videos, spread over the pool; each is reported as soon as its file is there."""
    clips = [_clip(tools.lake, key) for key in keys]
    for key, result in extract_clips(clips, tools.pool, tools.settings.poses):
        yield key, sentence(result) if isinstance(result, Exception) else _done(tools.lake, key, result)


def has_poses(lake: Lake, key: str) -> bool:
    """Whether there are landmarks, or a picture to look for a person in; motion capture has neither."""
    return not (lake.footage(key).exists() and isinstance(read_manifest(lake, key).video, CaptureInfo))


def is_video(lake: Lake, key: str) -> bool:
    """Whether there are pictures."""
    return not lake.footage(key).exists() or isinstance(read_manifest(lake, key).video, VideoInfo)


def _clip(lake: Lake, key: str) -> PoseItem:
    return PoseItem(
        key=key,
        video=lake.raw / read_manifest(lake, key).source,
        poses=lake.poses(key),
        quality=lake.pose_quality(key),
        contact_sheet=lake.contact_sheet(key),
    )


def _done(lake: Lake, key: str, result: PoseSummary) -> Done:
    quality = result.quality
    return Done(
        metadata={
            "contact sheet": jpeg(lake.contact_sheet(key)),
            "people": result.people,
            "frames with the subject": f"{quality.seen_frames} of {quality.frames}",
            "warnings": " ".join(quality.warnings) or "none",
            "dagster/row_count": pq.read_metadata(str(lake.poses(key))).num_rows,
            "dagster/column_schema": columns(pq.read_schema(str(lake.poses(key)))),
            "model_sha256": result.model_sha256,
            "poses": lake.poses(key),
        },
        data_version=sha256_of(lake.poses(key)),
        checks=tuple(
            CheckOutcome(check.name, check.passed, check.reason or "passed", {"value": check.value, "gate": check.gate})
            for check in quality.checks
        ),
        problem="" if quality.passed else quality.reason,
    )


POSES = VideoAsset(
    spec=spec(
        "poses",
        "poses",
        "MediaPipe landmarks for every frame and person in view, or those that came in instead of a video. Motion "
        "capture has no picture, so it has none.",
        kinds={"mediapipe", "parquet"},
        deps=["footage"],
        code_version="2",
    ),
    work=extract_poses,
    path=Lake.poses,
    beside=(Lake.pose_quality, Lake.contact_sheet),
    needs=(FOOTAGE,),
    applies=has_poses,
    checks=(
        *(dg.AssetCheckSpec(name, asset="poses", blocking=True, partitions_def=videos) for name in BLOCKING),
        *(dg.AssetCheckSpec(name, asset="poses", partitions_def=videos) for name in WARNING),
    ),
)
