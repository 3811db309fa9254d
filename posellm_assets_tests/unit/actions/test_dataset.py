import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.dataset.clips import ActionDataset, Refused, UnusableDataset, balanced_epoch, read_dataset
from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.label_set import LabelSetError
from posellm_assets.actions.dataset.sources import SourceExamples, found_in, from_folders, from_segments
from posellm_assets.actions.dataset.writing import write_dataset as write
from posellm_assets.footage.splits import split_of
from posellm_assets.footage.video import frames, probe
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.lake import Lake
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.frames import box_of, letterboxed, read_frames
from posellm_assets_tests.unit.actions.clips import WAYS, InProcess, write_square, write_tree
from posellm_assets_tests.unit.actions.rendered import seen, takes

WAYS_SET = """
classes:
  - {id: up, names: {en: up, zh: 上}, synonyms: {en: [upwards]}}
  - {id: down, names: {en: down, zh: 下}}
  - {id: left, names: {en: left, zh: 左}}
  - {id: right, names: {en: right, zh: 右}}
  - {id: still, names: {en: still, zh: 静}}
"""


def lake_with_set(folder: Path, text: str = WAYS_SET) -> Lake:
    (folder / "label_sets").mkdir(parents=True)
    (folder / "label_sets" / "ways.yaml").write_text(text)
    return Lake(folder)


def written(out: Path, found: SourceExamples) -> tuple[ActionDataset, list[Refused]]:
    config = DatasetConfig(languages=("en", "zh"))
    return write(out, found.examples, found.refused, found.label_set, config, InProcess(), seed=0)


def test_a_folder_for_each_class_becomes_a_data_set_in_both_formats(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "up").rename(tree / "03_Upwards")
    dataset, refused = written(tmp_path / "out", from_folders(tree, "ways", lake_with_set(tmp_path / "lake")))
    assert refused == [] and len(dataset.examples) == 24
    assert {one.split for one in dataset.examples} == {split_of(f"person {number}") for number in range(6)}
    assert all(one.split == split_of(one.participant or "") for one in dataset.examples), "split by participant"
    assert read_dataset(tmp_path / "out") == dataset

    records = json.loads((tmp_path / "out" / "train.json").read_text())
    assert len(records) == 3 * len(dataset.of("train")), "three questions for each clip"
    assert len({record["id"] for record in records}) == len(records)
    by_id = {one.id: one for one in dataset.examples}
    for record in records:
        (asked, answered), example = record["conversations"], by_id[record["id"].rsplit("_", 1)[0]]
        assert (asked["from"], answered["from"]) == ("human", "gpt") and asked["value"].startswith("<video>\n")
        assert asked["value"].count("<video>") == 1 and "<video>" not in answered["value"], "as Qwen's code counts them"
        found = dataset.label_set.class_of(answered["value"])
        assert found and found.id == example.class_id, "every phrasing of the answer names the class and no other"
        assert probe(tmp_path / "out" / record["video"]).frame_count == 8
    assert {record["conversations"][0]["value"].isascii() for record in records} == {True, False}, "both languages"
    chat = [json.loads(line) for line in (tmp_path / "out" / "test.jsonl").read_text().splitlines()]
    assert len(chat) == len(dataset.of("test")), "one question for each held-out clip"
    for line in chat:
        example = by_id[line["id"].rsplit("_", 1)[0]]
        assert line["messages"][1]["content"] == [{"type": "text", "text": example.class_id}], "the bare name"

    stats = json.loads((tmp_path / "out" / "dataset_stats.json").read_text())
    assert stats["classes"]["up"]["count"] == 6 and stats["classes_without_clips"] == ["still"]
    assert sum(split["clips"] for split in stats["splits"].values()) == 24
    assert "| up |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("roles", [("human", "gpt"), ("user", "assistant")])
def test_conversations_of_either_kind_become_the_data_set_that_they_were_made_from(
    tmp_path: Path, roles: tuple[str, str]
) -> None:
    lake = lake_with_set(tmp_path / "lake")
    made, _ = written(tmp_path / "out", from_folders(write_tree(tmp_path / "tree"), "ways", lake))
    file = tmp_path / "out" / "train.json"
    records = json.loads(file.read_text())
    for record in records:
        for turn, role in zip(record["conversations"], roles, strict=True):
            turn["from"] = role
    odd = [{"video": "videos/a.mp4", "conversations": [{"from": roles[1], "value": "sideways"}]}, {"video": "b.mp4"}]
    file.write_text(json.dumps([*records, *odd]))
    found = found_in(lake, file, "ways", None)
    assert {(one.video.name, one.class_id) for one in found.examples} == {
        (one.file, one.class_id) for one in made.of("train")
    }
    assert [one.what for one in found.refused] == [f"train.json record {len(records) + 2}", "videos/a.mp4"]
    file.write_text("{}")
    with pytest.raises(UnusableDataset, match="a list of records with `video` and `conversations`"):
        found_in(lake, file, "ways", None)


def test_what_cannot_be_used_is_refused_by_name_and_the_rest_is_done(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "still").mkdir()
    (tree / "backwards").mkdir()
    write_square(tree / "右" / "one more.mp4", "right", 1)
    (tree / "up" / "empty.mp4").write_bytes(b"")
    whole = (tree / "up" / "clip 0.mp4").read_bytes()
    (tree / "down" / "cut short.mp4").write_bytes(whole[: len(whole) // 2])
    dataset, refused = written(tmp_path / "out", from_folders(tree, "ways", lake_with_set(tmp_path / "lake")))
    reasons = {Path(one.what).name: one.reason for one in refused}
    assert reasons.keys() == {"still", "backwards", "right", "右", "empty.mp4", "cut short.mp4"}
    assert reasons["still"] == "the folder holds no clips"
    assert "no class of ways is called 'backwards': its classes are up, down" in reasons["backwards"]
    assert reasons["right"] == reasons["右"]
    assert reasons["right"] == "the folders 'right', '右' are all the class 'right'; put their clips into one"
    assert "0 bytes" in reasons["empty.mp4"]
    assert Counter(one.class_id for one in dataset.examples) == {"up": 6, "down": 6, "left": 6}
    stats = json.loads((tmp_path / "out" / "dataset_stats.json").read_text())
    assert {Path(one["what"]).name for one in stats["refused"]} == reasons.keys()


def test_a_label_set_with_a_duplicate_id_stops_the_command(tmp_path: Path) -> None:
    twice = lake_with_set(tmp_path / "lake", WAYS_SET + "  - {id: up, names: {en: upright}}")
    with pytest.raises(LabelSetError, match=r"ways\.yaml: two classes have the id 'up'"):
        from_folders(write_tree(tmp_path / "tree", 1), "ways", twice)


def test_without_anything_to_train_on_the_reasons_are_said(tmp_path: Path) -> None:
    (tmp_path / "tree" / "up").mkdir(parents=True)
    (tmp_path / "tree" / "up" / "a.mp4").write_bytes(b"")
    with pytest.raises(UnusableDataset, match=r"0 usable clips.*a\.mp4: the file is empty"):
        written(tmp_path / "out", from_folders(tmp_path / "tree", "ways"))


def test_clips_of_one_match_are_on_one_side(tmp_path: Path) -> None:
    for number in range(12):
        write_square(tmp_path / "tree" / "up" / f"final{number % 4}_{number:03}.mp4", "up", number, 3)
    found = from_folders(tmp_path / "tree", "ways", match=r"^(final\d)_")
    assert len(found.examples) == 12
    for one in found.examples:
        assert one.participant == one.video.name[:6] and one.split == split_of(one.participant)


def test_segments_of_a_long_video_are_cut_where_they_say(tmp_path: Path) -> None:
    write_square(tmp_path / "match.mp4", "up", 0, 40)
    (tmp_path / "strokes.csv").write_text(
        "file,start_s,end_s,label,match,hit_s\n"
        "match.mp4,1,2,up,b,1.5\n"
        "match.mp4,3,4.5,down,b,\n"
        "match.mp4,2,1,up,b,\n"
        "match.mp4,9,10,up,b,\n"
        "match.mp4,x,10,up,b,\n"
    )
    dataset, refused = written(tmp_path / "out", from_segments(tmp_path / "strokes.csv", "ways"))
    assert [one.what for one in refused] == ["strokes.csv line 4", "strokes.csv line 6", str(tmp_path / "match.mp4")]
    assert "the action begins at 9.00 s" in refused[2].reason
    down, up = dataset.examples
    assert (up.start_s, up.end_s, up.hit_s, up.split) == (1.0, 2.0, 1.5, split_of("b"))
    cut = dataset.clip_of(up)
    assert probe(cut.video).frame_count == 8 and cut.hit_s == 0.5
    expected, _ = read_frames(up.video, up.start_s, up.end_s, up.hit_s, FramesConfig(count=4, size_px=64))
    got, _ = read_frames(cut.video, cut.start_s, cut.end_s, cut.hit_s, FramesConfig(count=4, size_px=64))
    assert np.abs(expected.astype(float) - got).mean() < 4, "the same pictures, encoded once more"
    assert probe(dataset.clip_of(down).video).duration_s == pytest.approx(1.5)


def test_a_cut_keeps_the_uneven_times_of_its_frames(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.5, 0.6, 1.0, 1.1, 1.2]
    write_timed_video(tmp_path / "call.mp4", ((at, np.full((48, 64, 3), 90, np.uint8)) for at in times), 8)
    (tmp_path / "strokes.csv").write_text("file,start_s,end_s,label,match\ncall.mp4,0.15,1.05,up,b\n")
    dataset, _ = written(tmp_path / "out", from_segments(tmp_path / "strokes.csv", "ways"))
    cut = dataset.clip_of(dataset.examples[0]).video
    assert [frame.time_s for frame in frames(cut)] == pytest.approx([0.0, 0.05, 0.35, 0.45, 0.85], abs=1e-3)
    assert probe(cut).duration_s == pytest.approx(0.9), "what is on the screen from 0.15 to 1.05 s"


def test_frames_are_evenly_spaced_lie_around_the_hit_and_are_never_stretched(tmp_path: Path) -> None:
    path = write_square(tmp_path / "a.mp4", "down", 0, 16)
    config = FramesConfig(count=4, size_px=64, before_hit_s=0.25, after_hit_s=0.25)
    frames, times_s = read_frames(path, 0.0, 2.0, None, config)
    assert times_s == pytest.approx([0, 0.5, 1, 1.5])
    heights = [np.nonzero(frame.max((1, 2)) > 150)[0].mean() for frame in frames]
    assert heights == sorted(heights) and heights[-1] - heights[0] > 15, "the square goes down"
    assert not frames[:, :7].any() and not frames[:, -7:].any(), "black above and below"
    _, near = read_frames(path, 0.0, 2.0, 1.0, config)
    assert near == pytest.approx([0, 0.125, 0.25, 0.375])
    circle = letterboxed(np.full((30, 90, 3), 255, np.uint8), 48)
    assert np.nonzero(circle.any((1, 2)))[0].tolist() == list(range(16, 32)), "three times as wide as high"


def test_of_a_picture_the_part_with_the_subject_is_seen(tmp_path: Path) -> None:
    path = write_square(tmp_path / "a.mp4", "down", 0, 16)
    config = FramesConfig(count=2, size_px=64)
    whole, _ = read_frames(path, 0.0, 0.25, None, config)
    left_half, _ = read_frames(path, 0.0, 0.25, None, config, (-0.25, 0.0, 0.5, 1.0))
    assert left_half.shape == whole.shape and not left_half[:, :, :20].any(), "black beyond the edge"
    assert left_half[:, 30, 25].min() > 10, "the picture begins where it began"
    person = seen(takes("squat")[0])
    left, top, right, bottom = box_of(person, 0.0, 9.0) or (0, 0, 0, 0)
    x, y = np.moveaxis(person.landmarks[..., :2], -1, 0)
    assert left < x.min() < x.max() < right and top < y.min() < y.max() < bottom
    assert (right - left) * person.width == pytest.approx((bottom - top) * person.height)
    assert right - left < 0.8, "an athlete does not fill the picture"
    assert box_of(person, 90.0, 99.0) is None


def test_rare_classes_come_as_often_as_frequent_ones_and_every_clip_in_its_turn(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", 2)
    for number in range(2, 8):
        write_square(tree / "up" / f"clip {number}.mp4", "up", number, 2)
    examples = from_folders(tree, "ways").examples
    epochs = [[examples[place] for place in balanced_epoch(examples, 0, epoch)] for epoch in range(4)]
    assert all(len(epoch) == 14 for epoch in epochs)
    assert all(3 <= count <= 4 for epoch in epochs for count in Counter(one.class_id for one in epoch).values())
    ups = Counter(one.id for epoch in epochs for one in epoch if one.class_id == "up")
    assert len(ups) == 8 and max(ups.values()) <= 2
    assert balanced_epoch(examples, 0, 1) == balanced_epoch(examples, 0, 1) != balanced_epoch(examples, 1, 1)
    assert set(WAYS) == {one.class_id for one in examples}


def test_a_clip_of_a_mirrored_selfie_is_written_as_it_was(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    path = next((tree / "left").glob("*.mp4"))
    path.with_name(path.name + ".json").write_text('{"mirrored": true}')
    dataset, refused = written(tmp_path / "out", from_folders(tree, "ways"))
    (clip,) = (dataset.clip_of(one).video for one in dataset.examples if one.video == path)
    assert refused == [] and clip is not None
    shown, mirrored_back = next(frames(clip)).rgb, next(frames(path)).rgb
    assert np.abs(shown.astype(int) - mirrored_back).mean() < 4
