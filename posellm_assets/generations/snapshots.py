"""Snapshots: which videos a generation of the model is made from, frozen with the versions of their data.

A snapshot names its videos and the sha256 of what was read of each; the examples built from it are kept beside it.
Everything downstream can be reproduced from the two. Training itself is in `train.py`.

The examples of a split are a folder of parquet files, its parts. A snapshot makes parts of the videos that are new to
it and shares the others with the snapshots before it (the same files, linked), so that a generation that adds a
hundred videos costs what a hundred cost, however many there are. A part is named by the snapshot that it was first
made for and by what it holds.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets import __version__
from posellm_assets.checksums import forget, record_as, record_with_copy, recorded
from posellm_assets.files import link_or_copy, read_json, sha256_of, whole_folder, write_atomic, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.splits import SPLITS, Split
from posellm_assets.generations.inventory import set_aside_damaged
from posellm_assets.keys import ALL_SPORTS, snapshot_key, snapshot_scope
from posellm_assets.lake import Lake
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.problems import attempted
from posellm_assets.records import Record
from posellm_assets.texts.captions import CaptionText, read_captions
from posellm_assets.texts.mirror import can_mirror, mirror_text

VIDEOS_PER_PART = 500

# Part of a part's name: change it where the examples made of the same data change, or old ones would be shared on.
_EXAMPLES_VERSION = 3

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
        pa.field("texts_of_parts", pa.list_(pa.string())),
        pa.field("names", pa.list_(pa.struct({"text": pa.string(), "language": pa.string(), "told": pa.bool_()}))),
        pa.field("codes", pa.list_(pa.int32()), nullable=False),
    ]
)
EXAMPLE_COLUMNS = {
    "key": "the video",
    "segment": "which of its stretches without a gap, from 0",
    "variant": "the motion as it is, mirrored, or at another speed",
    "mirrored": "whether left and right are exchanged, in the texts too",
    "sport": "the sport of the video",
    "label": "the movement that its owner named",
    "participant": "who moves",
    "texts": "captions of the whole motion",
    "texts_of_parts": "those of them that hold for every part of the motion too; null where all do",
    "names": "what the movement is called, in which language, and whether that is a paraphrase",
    "codes": "the motion as code ids of the tokenizer in use",
}
"""What is in each column of the examples."""


class SnapshotVideo(Record):
    """One video of a snapshot and the versions of what is read of it."""

    key: str
    sport: str
    label: str | None
    participant: str | None
    rendered: bool = False
    """Whether it shows a rendered figure and no person."""
    split: Split
    captions_sha256: str
    motion_sha256: str
    tokens_sha256: str
    part: str = ""
    """Which part of the examples holds it: the snapshot that brought this version of it, and a running number."""


class Snapshot(Record):
    """A frozen manifest; written once and never changed."""

    snapshot: str
    scope: str
    created_at: str
    lineage: str
    parent: str | None
    reason: str = ""
    """Which rule asked for it, and which sports the codes of its lineage do not express."""
    videos: list[SnapshotVideo]
    settings: dict[str, Any]
    code_version: str

    @property
    def last_stage(self) -> str:
        """The stage whose model is the snapshot's, as it was called when it was frozen."""
        return str(self.settings["language"]["stages"][-1]["name"])

    def keys(self, split: Split) -> list[str]:
        """The videos of one split."""
        return [video.key for video in self.videos if video.split == split]


class SnapshotError(ValueError):
    """A snapshot that cannot be frozen, or whose data is no longer what was frozen."""


def read_snapshot(lake: Lake, snapshot: str) -> Snapshot:
    """The manifest of `snapshot`; FileNotFoundError where there is none."""
    return Snapshot.model_validate(read_json(lake.snapshot(snapshot)))


def motions_of(lake: Lake, snapshot: Snapshot) -> dict[str, Path]:
    """The motion file of each video of a snapshot."""
    return {video.key: lake.motion(video.key) for video in snapshot.videos}


def rendered_in(snapshot: Snapshot) -> list[str]:
    """The videos of a snapshot that show a rendered figure and no person."""
    return [video.key for video in snapshot.videos if video.rendered]


def snapshot_keys(lake: Lake, scope: str | None = ALL_SPORTS) -> list[str]:
    """The snapshots of a scope in this lake, or of all scopes, oldest first."""
    return sorted(
        (name for name in lake.frozen_snapshots() if scope in (None, snapshot_scope(name))),
        key=lambda name: (snapshot_scope(name), int(name.rsplit("-", 1)[1])),
    )


def next_snapshot(lake: Lake, scope: str = ALL_SPORTS) -> str:
    """What the next snapshot of a scope will be called."""
    taken = snapshot_keys(lake, scope)
    return snapshot_key(scope, int(taken[-1].rsplit("-", 1)[1]) + 1 if taken else 1)


def videos_of_last_snapshot(lake: Lake, lineage: str, scope: str = ALL_SPORTS) -> set[str]:
    """The videos that the newest snapshot of a scope holds; none where it is not of the codes of `lineage`.

    A snapshot takes over the videos of its predecessor, so that the newest holds all that were in one.
    """
    names = snapshot_keys(lake, scope)
    newest = read_snapshot(lake, names[-1]) if names else None
    return {video.key for video in newest.videos} if newest and newest.lineage == lineage else set()


def freeze(
    lake: Lake,
    keys: Iterable[str],
    lineage: str,
    *,
    parent: str | None,
    settings: dict[str, Any],
    scope: str = ALL_SPORTS,
    reason: str = "",
) -> Snapshot:
    """Write the next snapshot of `scope` over the videos `keys`, which must have captions, motion and tokens.

    A video whose manifest, motion, captions or tokens cannot be read is left out, and has a recorded problem instead.
    Raises SnapshotError where there are no videos, or none of them falls into the train split.
    """
    taken, name = snapshot_keys(lake, scope), next_snapshot(lake, scope)
    before = read_snapshot(lake, taken[-1]).videos if taken else []
    found = {key: attempted(partial(_frozen_video, lake, lineage), key) for key in sorted(set(keys))}
    unchanged = {video.key for video in before if video.model_copy(update={"part": ""}) == found.get(video.key)}
    damaged = set_aside_damaged(lake, found.keys() - unchanged, lineage)
    frozen = [video for key, video in found.items() if key not in damaged]
    if raised := [one for one in frozen if isinstance(one, Exception)]:
        raise raised[0]
    videos = _in_parts([one for one in frozen if not isinstance(one, Exception)], before, name)
    if not any(video.split == "train" for video in videos):
        raise SnapshotError(
            f"none of the {len(videos)} videos falls into the train split, so there is nothing to train on; "
            "add footage of more participants"
        )
    snapshot = Snapshot(
        snapshot=name,
        scope=scope,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        lineage=lineage,
        parent=parent,
        reason=reason,
        videos=videos,
        settings=settings,
        code_version=__version__,
    )
    write_json(lake.snapshot(name), snapshot.model_dump())
    record_with_copy(lake, lake.snapshot(name))
    return snapshot


def build_examples(lake: Lake, snapshot: Snapshot) -> dict[Split, int]:
    """Write the examples of every split; returns how many each holds.

    Train holds the re-tokenised variants of a clip, val and test the original only. Parts that are there are kept, and
    those of earlier snapshots shared. Raises SnapshotError where the data of a video is no longer the version that was
    frozen.
    """
    keys = snapshot_keys(lake, snapshot.scope)
    earlier = keys[: keys.index(snapshot.snapshot)][::-1]
    counts: dict[Split, int] = {}
    for split in SPLITS:
        folder = lake.examples(snapshot.snapshot, split)
        parts = parts_of(snapshot, split)
        if not folder.is_dir() or {path.name for path in folder.iterdir()} != parts.keys():
            sharing = [lake.examples(key, split) for key in earlier]
            forget(lake, [folder / name for name in parts])
            _write_parts(lake, snapshot, parts, folder, sharing)
            for name in parts:
                # What is shared is not read again, which would cost more with each generation.
                known = next((sha256 for one in sharing if (sha256 := recorded(lake, one / name))), None)
                record_as(lake, folder / name, known or sha256_of(folder / name))
        counts[split] = sum(pq.read_metadata(folder / name).num_rows for name in parts)
    return counts


def _in_parts(videos: Sequence[SnapshotVideo], before: Sequence[SnapshotVideo], name: str) -> list[SnapshotVideo]:
    """`videos`, each in the part that holds it already, or in a new one of the snapshot `name`."""
    part_of = {video.model_copy(update={"part": ""}): video.part for video in before}
    placed, new = [], 0
    for video in videos:
        part = part_of.get(video, "")
        if not part:
            part = f"{name}-{new // VIDEOS_PER_PART:03d}"
            new += 1
        placed.append(video.model_copy(update={"part": part}))
    return placed


def parts_of(snapshot: Snapshot, split: Split) -> dict[str, list[SnapshotVideo]]:
    """The videos of each part of a split, by file name. A split without videos has one part without rows."""
    videos: dict[str, list[SnapshotVideo]] = defaultdict(list)
    for video in snapshot.videos:
        if video.split == split:
            videos[video.part].append(video)
    parts = {}
    for part, of_part in sorted((videos or {f"{snapshot.snapshot}-none": []}).items()):
        content = repr((_EXAMPLES_VERSION, snapshot.lineage, *map(_version, of_part)))
        parts[f"{part}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.parquet"] = of_part
    return parts


def _version(video: SnapshotVideo) -> tuple[str | None, ...]:
    """Everything that decides the examples of a video."""
    texts = (video.key, video.sport, video.label, video.participant, video.split)
    return *texts, video.captions_sha256, video.motion_sha256, video.tokens_sha256


def _write_parts(
    lake: Lake, snapshot: Snapshot, parts: dict[str, list[SnapshotVideo]], folder: Path, earlier: Sequence[Path]
) -> None:
    """Make `folder` hold exactly `parts`; `earlier` are the folders to share from."""
    with whole_folder(folder) as new:
        for name, videos in parts.items():
            there = next((path for other in [folder, *earlier] if (path := other / name).is_file()), None)
            if there:
                link_or_copy(there, new / name)
                continue
            rows = [row for video in videos for row in _examples(lake, snapshot, video)]
            table = pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA)
            table = table.replace_schema_metadata({"lineage": snapshot.lineage})
            write_atomic(new / name, partial(pq.write_table, table))


def _frozen_video(lake: Lake, lineage: str, key: str) -> SnapshotVideo:
    manifest = read_manifest(lake, key)
    return SnapshotVideo(
        key=key,
        sport=manifest.sport,
        label=manifest.label,
        participant=manifest.participant,
        rendered=manifest.rendered,
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
    said_of = read_captions(lake, video.key)
    captions, names = said_of.texts, [name.model_dump() for name in said_of.names]
    mirrored_names = [
        {**name.model_dump(), "text": mirror_text(name.text, name.language)}
        for name in said_of.names
        if can_mirror(name.language)
    ]
    rows = []
    for number, segment in enumerate(MotionTokens.read(tokens).segments):
        true = [caption for caption in captions if caption.tells_of(segment.start_s, segment.end_s)]
        for variant in segment.variants if video.split == "train" else segment.variants[:1]:
            rows.append(
                {
                    "key": video.key,
                    "segment": number,
                    "variant": variant.name,
                    "mirrored": variant.mirrored,
                    "sport": video.sport,
                    "label": mirror_text(video.label) if video.label and variant.mirrored else video.label,
                    "participant": video.participant,
                    "texts": _texts(true, variant.mirrored),
                    "texts_of_parts": _texts([caption for caption in true if caption.of_all], variant.mirrored),
                    "names": mirrored_names if variant.mirrored else names,
                    "codes": variant.codes,
                }
            )
    return rows


def _texts(captions: Sequence[CaptionText], mirrored: bool) -> list[str]:
    """Captions as the texts of a motion, or of its mirror image."""
    if not mirrored:
        return [caption.text for caption in captions]
    # Of words in a language whose sides are not known nothing true can be said about the mirror image.
    return [mirror_text(caption.text, caption.language) for caption in captions if can_mirror(caption.language)]


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
