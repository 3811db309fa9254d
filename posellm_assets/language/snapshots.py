"""Snapshots: which videos a generation of the model is made from, frozen with the versions of their data.

A snapshot names its videos and the sha256 of what was read of each; the examples built from it are kept beside it.
Everything downstream can be reproduced from the two. Training itself is in `train.py`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from posellm_assets import __version__
from posellm_assets.footage.keys import snapshot_key, snapshot_scope
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.splits import Split
from posellm_assets.lake import Lake, read_json, sha256_of, write_atomic, write_json
from posellm_assets.texts.captions import read_captions
from posellm_assets.texts.mirror import can_mirror, mirror_text

SPLITS: tuple[Split, ...] = ("train", "val", "test")

EXAMPLE_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("mirrored", pa.bool_(), nullable=False),
        pa.field("sport", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("participant", pa.string()),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("codes", pa.list_(pa.int32()), nullable=False),
    ]
)


class SnapshotVideo(BaseModel):
    """One video of a snapshot and the versions of what is read of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    sport: str
    label: str | None
    participant: str | None
    split: Split
    captions_sha256: str
    motion_sha256: str
    tokens_sha256: str


class Snapshot(BaseModel):
    """A frozen manifest; written once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot: str
    scope: str
    created_at: str
    lineage: str
    parent: str | None
    videos: list[SnapshotVideo]
    settings: dict[str, Any]
    code_version: str

    def keys(self, split: Split) -> list[str]:
        """The videos of one split."""
        return [video.key for video in self.videos if video.split == split]


class SnapshotError(ValueError):
    """A snapshot that cannot be frozen, or whose data is no longer what was frozen."""


def read_snapshot(lake: Lake, snapshot: str) -> Snapshot:
    """The manifest of `snapshot`; FileNotFoundError where there is none."""
    return Snapshot.model_validate(read_json(lake.snapshot(snapshot)))


def snapshot_keys(lake: Lake, scope: str = "all") -> list[str]:
    """The snapshots of a scope in this lake, oldest first."""
    names = [path.parent.name for path in lake.snapshots.glob("*/manifest.json")] if lake.snapshots.exists() else []
    return sorted(
        (name for name in names if snapshot_scope(name) == scope), key=lambda name: int(name.rsplit("-", 1)[1])
    )


def videos_of_last_snapshot(lake: Lake, scope: str = "all") -> set[str]:
    """The videos that the newest snapshot of a scope holds; a snapshot takes over those of its predecessor."""
    names = snapshot_keys(lake, scope)
    return {video.key for video in read_snapshot(lake, names[-1]).videos} if names else set()


def tokenised_videos(lake: Lake, lineage: str) -> list[str]:
    """The videos that have motion tokens of `lineage`, from the names in the lake."""
    folder = lake.tokens_folder(lineage)
    return sorted(path.name.removesuffix(".json") for path in folder.glob("*/*.json")) if folder.exists() else []


def freeze(
    lake: Lake, keys: Iterable[str], lineage: str, *, parent: str | None, settings: dict[str, Any], scope: str = "all"
) -> Snapshot:
    """Write the next snapshot of `scope` over the videos `keys`, which must have captions, motion and tokens.

    Raises SnapshotError where there are no videos, or none of them falls into the train split.
    """
    taken = snapshot_keys(lake, scope)
    number = int(taken[-1].rsplit("-", 1)[1]) + 1 if taken else 1
    videos = [_frozen_video(lake, key, lineage) for key in sorted(set(keys))]
    if not any(video.split == "train" for video in videos):
        raise SnapshotError(
            f"none of the {len(videos)} videos falls into the train split, so there is nothing to train on; "
            "add footage of more participants"
        )
    snapshot = Snapshot(
        snapshot=snapshot_key(scope, number),
        scope=scope,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        lineage=lineage,
        parent=parent,
        videos=videos,
        settings=settings,
        code_version=__version__,
    )
    write_json(lake.snapshot(snapshot.snapshot), snapshot.model_dump())
    return snapshot


def build_examples(lake: Lake, snapshot: Snapshot) -> dict[Split, int]:
    """Write the examples of every split; returns how many each holds.

    Train holds the re-tokenised variants of a clip, val and test the original only. Raises SnapshotError where the
    data of a video is no longer the version that was frozen.
    """
    counts: dict[Split, int] = {}
    for split in SPLITS:
        rows = [row for video in snapshot.videos if video.split == split for row in _examples(lake, snapshot, video)]
        table = pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA).replace_schema_metadata(
            {"snapshot": snapshot.snapshot, "lineage": snapshot.lineage}
        )
        write_atomic(lake.examples(snapshot.snapshot, split), partial(pq.write_table, table))
        counts[split] = len(rows)
    return counts


def _frozen_video(lake: Lake, key: str, lineage: str) -> SnapshotVideo:
    manifest = read_manifest(lake, key)
    return SnapshotVideo(
        key=key,
        sport=manifest.sport,
        label=manifest.label,
        participant=manifest.participant,
        split=manifest.split,
        captions_sha256=sha256_of(lake.captions(key)),
        motion_sha256=sha256_of(lake.motion(key)),
        tokens_sha256=sha256_of(lake.motion_tokens(lineage, key)),
    )


def _examples(lake: Lake, snapshot: Snapshot, video: SnapshotVideo) -> Sequence[dict[str, Any]]:
    said, tokens = lake.captions(video.key), lake.motion_tokens(snapshot.lineage, video.key)
    for path, frozen in ((said, video.captions_sha256), (tokens, video.tokens_sha256)):
        if sha256_of(path) != frozen:
            raise SnapshotError(
                f"{path} has changed since {snapshot.snapshot} was frozen; train on what it is now in a new snapshot"
            )
    captions = read_captions(lake, video.key).texts
    texts = [caption.text for caption in captions]
    # Of words in a language whose sides are not known nothing true can be said about the mirror image.
    mirrored = [mirror_text(caption.text, caption.language) for caption in captions if can_mirror(caption.language)]
    rows = []
    for number, segment in enumerate(read_json(tokens)["segments"]):
        for variant in segment["variants"]:
            if video.split != "train" and variant["name"] != "original":
                continue
            rows.append(
                {
                    "key": video.key,
                    "segment": number,
                    "variant": variant["name"],
                    "mirrored": variant["mirrored"],
                    "sport": video.sport,
                    "label": mirror_text(video.label) if video.label and variant["mirrored"] else video.label,
                    "participant": video.participant,
                    "texts": mirrored if variant["mirrored"] else texts,
                    "codes": variant["codes"],
                }
            )
    return rows


def split_table(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Videos, participants and sports per split, for a report."""
    rows = []
    for split in SPLITS:
        videos = [video for video in snapshot.videos if video.split == split]
        rows.append(
            {
                "split": split,
                "videos": len(videos),
                "participants": len({video.participant for video in videos if video.participant}),
                "sports": dict(Counter(video.sport for video in videos)),
            }
        )
    return rows
