"""Labelled footage of the lake as a data set of actions, by hand and in the graph."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from posellm_assets.actions.dataset.clips import UnusableDataset, read_dataset
from posellm_assets.actions.dataset.sources import from_lake
from posellm_assets.cli import app
from posellm_assets.commands.importing import import_motion
from posellm_assets.defs.actions import action_dataset
from posellm_assets.defs.partitions import snapshots, videos
from posellm_assets.defs.resources import LakeResource, PoolResource
from posellm_assets.files import write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.footage.splits import split_of
from posellm_assets.lake import Lake
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.sources import declared
from posellm_assets_tests.unit.actions.clips import InProcess, freeze, write_square
from posellm_assets_tests.unit.motion.people import moving_person

CURLING = "classes: [{id: sweep, names: {en: sweep}}, {id: sweep, names: {en: brush}}]"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two sports: gym without a label set, badminton with the project's; in each a clip of nobody knows what."""
    lake, number = Lake(tmp_path / "lake"), 0
    for folder in ("gym/left_lunge", "gym/squat", "badminton/杀球", "badminton/Clear", "badminton/cartwheel", "gym"):
        for person in ("person 0", "person 7"):
            number += 1
            source = f"{folder}/{person}.mp4"
            path = write_square(tmp_path / "lake" / "raw" / source, "up", number)
            write_json(path.with_name(path.name + ".json"), {"participant": person})
            assert register(lake, source).status == "registered"
    return lake


def keys(lake: Lake) -> list[str]:
    return lake.registered_videos()


def test_labels_become_classes_of_their_sport_and_participants_keep_their_split(lake: Lake) -> None:
    found = from_lake(lake, keys(lake), "all")
    assert {"left-lunge", "squat", "smash", "clear"} < {one.id for one in found.label_set.classes}
    assert sorted(one.class_id for one in found.examples) == sorted(["left-lunge", "squat", "smash", "clear"] * 2)
    for one in found.examples:
        assert one.key and one.participant and one.split == split_of(one.participant)
        assert one.split == read_manifest(lake, one.key).split and one.video.is_file()
    assert {one.what.split(".")[0] for one in found.refused} == {"badminton"} and len(found.refused) == 2
    assert "no class of badminton is called 'cartwheel'" in found.refused[0].reason


def test_a_sport_whose_label_file_is_wrong_is_refused_and_the_others_are_done(lake: Lake) -> None:
    lake.label_sets.mkdir()
    (lake.label_sets / "badminton.yaml").write_text(CURLING)
    found = from_lake(lake, keys(lake), "all")
    assert [one.what for one in found.refused] == ["badminton"]
    assert "badminton.yaml: two classes have the id 'sweep'" in found.refused[0].reason
    assert {one.class_id for one in found.examples} == {"left-lunge", "squat"}
    with pytest.raises(UnusableDataset, match="no video of badminton has a label that can be used"):
        from_lake(lake, [key for key in keys(lake) if key.startswith("badminton")], "badminton")


def test_motion_capture_is_left_out_by_name_and_is_no_mistake(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    write_bvh(moving_person(10), tmp_path / "take.bvh")
    for path, _ in import_motion(
        lake, [tmp_path / "take.bvh"], "gym", declared(label="walk", participant="ana")
    ).placed:
        (take,) = [register(lake, path.relative_to(lake.raw).as_posix()).key]
    asked = ["dataset", "actions", "--out", str(tmp_path / "out"), "--lake", str(lake.root)]
    with pytest.raises(UnusableDataset, match="1 labelled clips are motion capture or landmarks, without pictures"):
        from_lake(lake, keys(lake), "all")
    video = lake.raw / "gym" / "squat" / "person 0.mp4"
    write_square(video, "up", 1)
    write_json(video.with_name(video.name + ".json"), {"participant": "person 0"})
    register(lake, "gym/squat/person 0.mp4")
    found = from_lake(lake, keys(lake), "all")
    assert (found.without_pictures, found.refused, [one.class_id for one in found.examples]) == ([take], [], ["squat"])
    result = CliRunner().invoke(app, asked)
    assert (result.exit_code, result.exception) == (0, None)
    assert f"left out, motion capture or landmarks without pictures: {take}" in result.stdout.replace("\n", "")


def test_the_graph_makes_the_data_set_of_a_snapshot(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PoolResource, "pool", lambda self: InProcess())
    freeze(lake, "all-0001", keys(lake))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", keys(lake))
        instance.add_dynamic_partitions(snapshots.name or "", ["all-0001"])
        resources = {"lake": LakeResource(root=str(lake.root)), "pool": PoolResource()}
        result = dg.materialize([action_dataset], partition_key="all-0001", instance=instance, resources=resources)
    metadata = result.asset_materializations_for_node("action_dataset")[0].metadata
    assert metadata["clips"].value == 8 and metadata["refused"].value == 2
    folder = lake.action_dataset("all-0001")
    assert len(read_dataset(folder).examples) == 8
    assert len(json.loads((folder / "train.json").read_text())) == 4 * 3, "of one participant, three questions a clip"
