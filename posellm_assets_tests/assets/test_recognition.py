"""Recogniser, report and predictions through the real assets, on athletes whose poses are known without a network."""

from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.actions.dataset.clips import read_dataset
from posellm_assets.actions.recognition import Recognition
from posellm_assets.defs.actions import ACTION_PREDICTIONS, action_dataset, action_report, recogniser_asset
from posellm_assets.defs.partitions import snapshots, videos
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.videos import video_assets
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses
from posellm_assets_tests.unit.actions.clips import PEOPLE, InProcess, freeze
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video

MOVEMENTS = ("squat", "kick")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two movements by ten people each (six train, two val, two test), up to their motion; `all-0001` holds them."""
    lake = Lake(tmp_path / "lake")
    keys = []
    for movement in MOVEMENTS:
        for number, take in zip(PEOPLE, takes(movement), strict=False):
            clip, source = cycles(take, 2), f"gym/{movement}/{number}.mp4"
            path = lake.raw / source
            path.parent.mkdir(parents=True, exist_ok=True)
            write_grey_video(path, [clip.frame_count], [90 + number])
            write_json(path.with_name(path.name + ".json"), {"participant": f"person {number}"})
            key = register(lake, source).key or ""
            subject = seen(clip)
            alone = (
                values[:, None] for values in (subject.landmarks, subject.visibility, subject.presence, subject.world)
            )
            Poses(subject.time_s, *alone, subject.width, subject.height, subject.fps, "").write(lake.poses(key))
            motion_from_poses(subject, MotionConfig()).write(lake.motion(key))
            keys.append(key)
    freeze(lake, "all-0001", keys)
    return lake


def test_a_snapshot_becomes_a_recogniser_its_report_and_what_each_video_shows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PoolResource, "pool", lambda self: InProcess())
    resources = {"lake": LakeResource(root=str(lake.root)), "pool": PoolResource(), "programs": Programs()}
    keys = lake.registered_videos()
    asked = [key for key in keys if read_manifest(lake, key).split == "test"][::3]
    predict = video_assets("recognise_videos", [ACTION_PREDICTIONS], 50)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", keys)
        instance.add_dynamic_partitions(snapshots.name or "", ["all-0001"])
        early = dg.materialize(
            [predict], partition_key=asked[0], instance=instance, resources=resources, raise_on_error=False
        )
        made = dg.materialize(
            [action_dataset, recogniser_asset("stage3"), action_report],
            partition_key="all-0001",
            instance=instance,
            resources=resources,
        )
        predicted = [
            dg.materialize([predict], partition_key=key, instance=instance, resources=resources) for key in asked
        ]
    boxes = [one.box for one in read_dataset(lake.action_dataset("all-0001")).examples]
    assert all(box and 0.3 < box[2] - box[0] < 0.9 for box in boxes), "the model is shown the athlete"
    assert not early.success, "there was no recogniser yet"
    (record,) = made.asset_materializations_for_node("action_recogniser")
    assert (record.metadata["training clips"].value, record.metadata["validation clips"].value) == (12, 4)
    assert set(record.metadata["absent"].value) == {"vision-language", "video-mae", "language"}
    metrics = read_json(lake.action_report("all-0001") / "metrics.json")
    assert metrics["clips"] == 4 and metrics["members"]["motion"]["accuracy"]["value"] == 1.0
    assert (lake.action_report("all-0001") / "index.html").stat().st_size > 10_000
    for key, run in zip(asked, predicted, strict=True):
        found = Recognition.model_validate(read_json(lake.action_predictions(key)))
        assert [one.answer.action for one in found.segments] == [read_manifest(lake, key).label]
        (shown,) = run.asset_materializations_for_node("recognise_videos")
        assert shown.metadata["segments"].value == 1
