"""Recogniser, report and predictions through the real assets, on athletes whose poses are known without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.actions.dataset.clips import EXAMPLES, read_dataset
from posellm_assets.actions.recognition import Recognition
from posellm_assets.defs.actions import ACTION_PREDICTIONS, action_dataset, action_report, recogniser_asset
from posellm_assets.defs.partitions import snapshots, videos
from posellm_assets.defs.resources import LakeResource, PoolResource
from posellm_assets.defs.videos import video_assets
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.generations.releases import history, required
from posellm_assets.lake import METRICS, PAGE, Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses
from posellm_assets_tests.in_process import InThisProcess
from posellm_assets_tests.unit.actions.clips import PEOPLE, InProcess, freeze
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video

MOVEMENTS = ("squat", "kick")
RECOGNISER = recogniser_asset("stage3")
Graph = Callable[..., dg.ExecuteInProcessResult]


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


@pytest.fixture
def graph(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """Materializes assets of the lake for a partition; a failure is in the result."""
    monkeypatch.setattr(PoolResource, "pool", lambda self: InProcess())
    resources = {"lake": LakeResource(root=str(lake.root)), "pool": PoolResource(), "programs": InThisProcess()}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", lake.registered_videos())
        instance.add_dynamic_partitions(snapshots.name or "", ["all-0001", "all-0002"])
        yield lambda key, *assets: dg.materialize(
            assets, partition_key=key, instance=instance, resources=resources, raise_on_error=False
        )


def why_it_failed(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return failure.step_failure_data.user_failure_data.description or ""  # type: ignore[union-attr]


def test_a_snapshot_becomes_a_recogniser_that_is_used_once_its_report_is_made(lake: Lake, graph: Graph) -> None:
    test = [key for key in lake.registered_videos() if read_manifest(lake, key).split == "test"]
    asked, predict = test[::3], video_assets("recognise_videos", [ACTION_PREDICTIONS], 50)
    made = graph("all-0001", action_dataset, RECOGNISER)
    early = graph(asked[0], predict)
    assert "no recogniser of actions is in use" in why_it_failed(early), "it was not measured yet"
    measured = graph("all-0001", action_report)
    predicted = [graph(key, predict) for key in asked]
    boxes = [one.box for one in read_dataset(lake.action_dataset("all-0001")).examples]
    assert all(box and 0.3 < box[2] - box[0] < 0.9 for box in boxes), "the model is shown the athlete"
    (record,) = made.asset_materializations_for_node("action_recogniser")
    assert (record.metadata["training clips"].value, record.metadata["validation clips"].value) == (12, 4)
    assert set(record.metadata["absent"].value) == {"vision-language", "video-mae", "language"}
    metrics = read_json(lake.action_report("all-0001") / METRICS)
    assert metrics["clips"] == 4 and metrics["members"]["motion"]["accuracy"]["value"] == 1.0
    assert (lake.action_report("all-0001") / PAGE).stat().st_size > 10_000
    (report,) = measured.asset_materializations_for_node("action_report")
    assert report.metadata["promoted"].value is True and required(lake, "recogniser").name == "all-0001"
    for key, run in zip(asked, predicted, strict=True):
        found = Recognition.model_validate(read_json(lake.action_predictions(key)))
        assert [one.answer.action for one in found.segments] == [read_manifest(lake, key).label]
        (shown,) = run.asset_materializations_for_node("recognise_videos")
        assert shown.metadata["segments"].value == 1


def test_a_recogniser_that_learned_wrongly_does_not_take_the_place_of_the_one_in_use(lake: Lake, graph: Graph) -> None:
    graph("all-0001", action_dataset, RECOGNISER, action_report)
    freeze(lake, "all-0002", lake.registered_videos())
    graph("all-0002", action_dataset)
    examples = lake.action_dataset("all-0002") / EXAMPLES
    content, other = read_json(examples), dict(zip(MOVEMENTS, reversed(MOVEMENTS), strict=True))
    for example in content["examples"]:
        if example["split"] != "test":
            example["class_id"] = other[example["class_id"]]
    write_json(examples, content)
    result = graph("all-0002", RECOGNISER, action_report)
    (report,) = result.asset_materializations_for_node("action_report")
    assert report.metadata["promoted"].value is False
    assert "0.000 against 1.000 of the model in use on the same 4 cases, worse" in str(report.metadata["reasons"].value)
    assert [one.name for one in history(lake, "recogniser")] == ["all-0001"]
    assert "Not to be promoted" in (lake.action_report("all-0002") / PAGE).read_text()
    again = graph("all-0001", action_report)
    (report,) = again.asset_materializations_for_node("action_report")
    assert report.metadata["promoted"].value is False and "in use already" in str(report.metadata["reasons"].value)
