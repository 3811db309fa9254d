"""The poses group: landmarks per frame and person, their checks, and a contact sheet that a person can look at."""

from collections.abc import Iterator, Sequence

import pyarrow.parquet as pq

from posellm_assets.defs.common import columns, sheet, spec
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, Tools, VideoAsset, video_check
from posellm_assets.files import sha256_of
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.video import VideoInfo
from posellm_assets.lake import Lake
from posellm_assets.poses.extract import PoseItem, PoseSummary, extract_clips
from posellm_assets.poses.poses import COLUMNS
from posellm_assets.problems import sentence

BLOCKING = {
    "schema": "The file of landmarks is whole.",
    "person_coverage": "Somebody is found in enough of the frames.",
    "body_in_view": "An arm or a leg is made out to its end in enough of the frames: else there is no athlete.",
    "bone_length_stability": "Limbs keep their lengths, as no tracked sofa's do.",
}
WARNING = {
    "hidden_joints": "Few joints are hidden or outside the picture; those that are, are not spoken of.",
    "left_right_swaps": "Left and right seldom change places.",
    "jitter": "Joints do not shake from frame to frame.",
    "frame_rate": "There are enough frames in a second for fast movement.",
    "damaged_packets": "Every frame of the video could be decoded.",
}


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
            "contact sheet": sheet(lake, lake.contact_sheet(key)),
            "people": result.people,
            "frames with the subject": f"{quality.seen_frames} of {quality.frames}",
            "warnings": " ".join(quality.warnings) or "none",
            "dagster/row_count": pq.read_metadata(str(lake.poses(key))).num_rows,
            "dagster/column_schema": columns(pq.read_schema(str(lake.poses(key))), COLUMNS),
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
        *(video_check("poses", name, said, blocking=True) for name, said in BLOCKING.items()),
        *(video_check("poses", name, said) for name, said in WARNING.items()),
    ),
)
