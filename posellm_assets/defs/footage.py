"""The footage group: registered videos, and what could not be registered.

`footage` looks at a registered file again; new files are found by `footage_sensor.py`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from posellm_assets.defs.common import spec
from posellm_assets.defs.videos import Done, Outcome, Tools, VideoAsset
from posellm_assets.footage.capture import CaptureInfo, LandmarksInfo
from posellm_assets.footage.labels import Labels
from posellm_assets.footage.manifest import ClipInfo, FootageManifest, read_manifest
from posellm_assets.footage.register import refresh_manifest
from posellm_assets.lake import Lake

MAX_ROWS = 500


def check_footage(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Look at each registered file again: whether it is there, unchanged, and what is now said about it."""
    for key in keys:
        try:
            manifest = refresh_manifest(tools.lake, key)
        except (FileNotFoundError, ValueError) as error:
            yield key, str(error)
        else:
            yield key, Done(footage_metadata(tools.lake, manifest), _data_version(manifest))


def footage_metadata(lake: Lake, manifest: FootageManifest) -> dict[str, Any]:
    """What the UI shows of a video."""
    return {
        "sport": manifest.sport,
        "label": manifest.label or "(none)",
        "captions": manifest.captions,
        "participant": manifest.participant or "(nobody named)",
        "split": manifest.split,
        "source": lake.raw / manifest.source,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
        "duration_s": round(manifest.video.duration_s, 3),
        "fps": round(manifest.video.fps, 3),
        **_content(manifest.video),
    }


def _content(video: ClipInfo) -> dict[str, Any]:
    if isinstance(video, CaptureInfo):
        return {"frames": video.frames, "motion capture": f"{video.joints} joints, skeleton {video.skeleton}"}
    if isinstance(video, LandmarksInfo):
        pictures = f"{video.width} x {video.height}, not at hand"
        return {"frames": video.frame_count, "landmarks": f"of up to {video.people} people", "picture": pictures}
    return {
        "frames": video.frame_count or 0,
        "picture": f"{video.width} x {video.height}, rotated by {video.rotation_deg} degrees",
        "encoding": f"{video.codec}, {video.pixel_format}",
        "variable_frame_rate": video.variable_frame_rate,
    }


def _data_version(manifest: FootageManifest) -> str:
    """Another version where the content, or what is said about it, is another."""
    said = manifest.model_dump_json(include={"sha256", *Labels.model_fields})
    return hashlib.sha256(said.encode()).hexdigest()


FOOTAGE = VideoAsset(
    spec=spec(
        "footage",
        "footage",
        "A registered video, motion capture or landmarks: checked again, its labels read again from sidecar, table and "
        "folder.",
        kinds={"mp4", "json"},
        code_version="1",
    ),
    work=check_footage,
    path=Lake.footage,
    version_of=lambda lake, key: _data_version(read_manifest(lake, key)),
)

QUARANTINE = spec(
    "quarantine",
    "footage",
    "Files of the drop zone that cannot be used, with the reason. Reported by new_footage_sensor when they change.",
    kinds={"table"},
)


def quarantine_report(reasons: dict[str, str]) -> dg.AssetMaterialization:
    """What the asset `quarantine` shows: the reason for every file, by path."""
    rows = [dg.TableRecord({"file": path, "reason": reason}) for path, reason in list(reasons.items())[:MAX_ROWS]]
    columns = dg.TableSchema([dg.TableColumn("file", "string"), dg.TableColumn("reason", "string")])
    return dg.AssetMaterialization(
        QUARANTINE.key,
        description=f"{len(reasons)} files in quarantine",
        metadata={"dagster/row_count": len(reasons), "files": dg.MetadataValue.table(rows, columns)},
    )
