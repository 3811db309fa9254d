import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from posellm_assets.files import read_json, sha256_of, write_bytes
from posellm_assets.footage.manifest import FootageManifest, read_manifest, write_manifest
from posellm_assets.footage.video import VideoInfo
from posellm_assets.generations.snapshots import (
    Snapshot,
    SnapshotError,
    build_examples,
    freeze,
    read_snapshot,
    videos_of_last_snapshot,
)
from posellm_assets.lake import Lake
from posellm_assets.texts.captions import Captions, CaptionText, read_captions, write_captions
from posellm_assets.texts.glossary import Name
from posellm_assets_tests.tokens import segment, write_tokens

INFO = VideoInfo(100, 100, 25.0, 2.0, 50, 0, "h264", "yuv420p", False)
TRAIN, TEST = "yoga.bend.0000000a", "yoga.bend.0000000b"
PEOPLE = {TRAIN: "athlete-01", TEST: "athlete-06"}
"""Their hashes fall into train and test; `test_the_split_is_the_participants` says so."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    for key, participant in PEOPLE.items():
        write_manifest(
            lake,
            FootageManifest(
                key=key,
                sport="yoga",
                label="left side bend",
                captions=[],
                participant=participant,
                source=f"yoga/{participant}.mp4",
                sha256=key[-8:] * 8,
                size_bytes=1,
                video=INFO,
                registered_at="2026-01-01T00:00:00+00:00",
            ),
        )
        texts = [CaptionText(text="left side bend: the left arm rises", kind="label", language="en")]
        write_captions(lake, Captions(key=key, texts=texts, facts=[]))
        write_bytes(lake.motion(key), b"motion of " + key.encode())
        write_tokens(lake, "vq-1", key, [segment([1, 2, 3], mirrored=[4, 5, 6])])
    return lake


def copy_video(lake: Lake, key: str, copy: str) -> None:
    write_manifest(lake, read_manifest(lake, key).model_copy(update={"key": copy, "sha256": copy[-8:] * 8}))
    write_captions(lake, read_captions(lake, key).model_copy(update={"key": copy}))
    write_bytes(lake.motion(copy), b"motion of " + copy.encode())
    write_tokens(lake, "vq-1", copy, [segment([1, 2, 3], mirrored=[4, 5, 6])])


def frozen(lake: Lake, keys: list[str]) -> Snapshot:
    return freeze(lake, keys, "vq-1", parent=None, settings={"seed": 0})


def test_the_split_is_the_participants(lake: Lake) -> None:
    snapshot = frozen(lake, [TRAIN, TEST])
    assert (snapshot.keys("train"), snapshot.keys("test")) == ([TRAIN], [TEST])


def test_train_holds_the_variants_and_mirrored_text_says_the_other_side(lake: Lake) -> None:
    snapshot = frozen(lake, [TRAIN, TEST])
    assert build_examples(lake, snapshot) == {"train": 2, "val": 0, "test": 1}
    original, mirrored = pq.read_table(str(lake.examples(snapshot.snapshot, "train"))).to_pylist()
    assert (original["label"], original["codes"]) == ("left side bend", [1, 2, 3])
    assert (mirrored["label"], mirrored["codes"]) == ("right side bend", [4, 5, 6])
    assert mirrored["texts"] == ["right side bend: the right arm rises"]
    (test,) = pq.read_table(str(lake.examples(snapshot.snapshot, "test"))).to_pylist()
    assert (test["variant"], test["key"]) == ("original", TEST)


def test_each_text_is_mirrored_in_its_language_and_left_out_where_its_sides_are_not_known(lake: Lake) -> None:
    said = [("brazo izquierdo", "es"), ("左臂", "zh"), ("le bras gauche", "fr"), ("left, izquierda, 左", None)]
    texts = [CaptionText(text=text, kind="user", language=language) for text, language in said]
    write_captions(lake, Captions(key=TRAIN, texts=texts, facts=[]))
    snapshot = frozen(lake, [TRAIN])
    build_examples(lake, snapshot)
    original, mirrored = pq.read_table(str(lake.examples(snapshot.snapshot, "train"))).to_pylist()
    assert original["texts"] == [text for text, _ in said]
    assert mirrored["texts"] == ["brazo derecho", "右臂", "right, derecha, 右"]


def test_what_a_movement_is_called_is_mirrored_with_it(lake: Lake) -> None:
    said = [Name(text="lado izquierdo", language="es"), Name(text="leans left", language="en", told=True)]
    names = (*said, Name(text="gauche", language="fr"))
    write_captions(lake, Captions(key=TRAIN, texts=[], facts=[], names=names))
    snapshot = frozen(lake, [TRAIN])
    build_examples(lake, snapshot)
    original, mirrored = pq.read_table(str(lake.examples(snapshot.snapshot, "train"))).to_pylist()
    assert original["names"] == [name.model_dump() for name in names]
    assert mirrored["names"] == [
        {"text": "lado derecho", "language": "es", "told": False},
        {"text": "leans right", "language": "en", "told": True},
    ]


def test_the_facts_of_one_stretch_are_not_told_of_another(lake: Lake) -> None:
    texts = [
        CaptionText(text="bend", kind="label", language="en"),
        CaptionText(text="bend: 3 times", kind="label", language="en", start_s=0.0, end_s=2.0),
        CaptionText(text="bend: holding still", kind="label", language="en", start_s=3.0, end_s=5.0),
    ]
    write_captions(lake, Captions(key=TRAIN, texts=texts, facts=[]))
    spans = [(0.0, 1.9), (3.0, 4.8)]
    write_tokens(lake, "vq-1", TRAIN, [segment([1, 2, 3], start_s, end_s) for start_s, end_s in spans])
    snapshot = frozen(lake, [TRAIN])
    build_examples(lake, snapshot)
    rows = pq.read_table(str(lake.examples(snapshot.snapshot, "train"))).to_pylist()
    assert [row["texts"] for row in rows] == [["bend", "bend: 3 times"], ["bend", "bend: holding still"]]
    assert [row["texts_of_parts"] for row in rows] == [["bend"], ["bend"]]


def test_snapshots_are_numbered_and_never_written_twice(lake: Lake) -> None:
    first, second = frozen(lake, [TRAIN]), frozen(lake, [TRAIN, TEST])
    assert (first.snapshot, second.snapshot) == ("all-0001", "all-0002")
    assert read_snapshot(lake, "all-0001") == first
    assert videos_of_last_snapshot(lake, "vq-1") == {TRAIN, TEST}
    assert videos_of_last_snapshot(lake, "vq-2") == set(), "under other codes nothing has been trained on yet"
    assert read_json(lake.snapshot("all-0002"))["settings"] == {"seed": 0}


def parts(lake: Lake, snapshot: str, split: str = "train") -> dict[str, int]:
    """The files of a split and their inodes."""
    return {path.name: path.stat().st_ino for path in lake.examples(snapshot, split).iterdir()}


def test_a_later_snapshot_shares_the_examples_that_it_has_in_common_with_the_one_before(lake: Lake) -> None:
    other = "yoga.bend.0000000c"
    copy_video(lake, TRAIN, other)
    build_examples(lake, frozen(lake, [TRAIN]))
    (first,) = parts(lake, "all-0001").items()
    assert build_examples(lake, frozen(lake, [TRAIN, other])) == {"train": 4, "val": 0, "test": 0}
    second = parts(lake, "all-0002")
    assert len(second) == 2
    assert first in second.items(), "the same file, not a copy of it"
    rows = pq.read_table(str(lake.examples("all-0002", "train"))).to_pylist()
    assert [row["key"] for row in rows] == [TRAIN, TRAIN, other, other]


def test_a_video_that_changed_or_went_leaves_a_later_snapshot_and_no_earlier_one(lake: Lake) -> None:
    other, third = "yoga.bend.0000000c", "yoga.bend.0000000d"
    for key in (other, third):
        copy_video(lake, TRAIN, key)
    build_examples(lake, frozen(lake, [TRAIN, other, third]))
    before = parts(lake, "all-0001")
    write_captions(lake, Captions(key=other, texts=[CaptionText(text="new", kind="user", language="en")], facts=[]))
    assert build_examples(lake, frozen(lake, [TRAIN, other])) == {"train": 4, "val": 0, "test": 0}
    rows = pq.read_table(str(lake.examples("all-0002", "train"))).to_pylist()
    assert {row["key"]: row["texts"] for row in rows if not row["mirrored"]}[other] == ["new"]
    assert third not in {row["key"] for row in rows}
    assert parts(lake, "all-0001") == before
    assert {row["key"] for row in pq.read_table(str(lake.examples("all-0001", "train"))).to_pylist()} == {
        TRAIN,
        other,
        third,
    }


def test_the_examples_are_the_same_whether_or_not_there_is_something_to_share(lake: Lake) -> None:
    other = "yoga.bend.0000000c"
    copy_video(lake, TRAIN, other)
    build_examples(lake, frozen(lake, [TRAIN]))
    second = frozen(lake, [TRAIN, other])
    build_examples(lake, second)
    shared = sha256_of(lake.examples("all-0002", "train"))
    for snapshot in ("all-0001", "all-0002"):
        shutil.rmtree(str(lake.examples(snapshot, "train")))
    build_examples(lake, second)
    assert sha256_of(lake.examples("all-0002", "train")) == shared


def test_data_that_changed_since_is_refused_and_named(lake: Lake) -> None:
    snapshot = frozen(lake, [TRAIN, TEST])
    write_captions(lake, Captions(key=TRAIN, texts=[CaptionText(text="other", kind="user", language=None)], facts=[]))
    with pytest.raises(SnapshotError, match=rf"{TRAIN}\.json has changed since all-0001 was frozen"):
        build_examples(lake, snapshot)


def test_footage_of_test_participants_alone_cannot_be_trained_on(lake: Lake) -> None:
    with pytest.raises(SnapshotError, match="none of the 1 videos falls into the train split"):
        frozen(lake, [TEST])
