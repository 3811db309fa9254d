"""Ranges of videos in one run: what a bad clip does, and what it must not do."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.defs.actions import ACTION_PREDICTIONS
from posellm_assets.defs.motion import MOTION_TOKENS
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.poses import has_poses
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, ShowsTooLittle, Tools, VideoAsset, video_assets
from posellm_assets.files import write_bytes, write_json
from posellm_assets.lake import Lake
from posellm_assets.poses.models import ModelUnavailable
from posellm_assets.problems import all_problems
from posellm_assets_tests.releases import put_in_use

GOOD, DARK, BROKEN = "gym.good.00000001", "gym.dark.00000002", "gym.broken.00000003"
KEYS = [GOOD, DARK, BROKEN]
RANGE = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[-1]}


def poses(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    for key in keys:
        if key == BROKEN:
            yield key, "the file ends in the middle of a frame"
            continue
        write_json(tools.lake.poses(key), {})
        passed = key != DARK
        check = CheckOutcome("person_coverage", passed, "nobody in view in 97 % of 312 frames", {"value": 0.03})
        yield key, Done({"frames": 312}, "v1", (check,), "" if passed else check.description)


def motion(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    for key in keys:
        write_json(tools.lake.motion(key), {})
        yield key, Done({}, "v1")


POSES = VideoAsset(
    spec=dg.AssetSpec("poses", code_version="1"),
    work=poses,
    path=Lake.poses,
    checks=(dg.AssetCheckSpec("person_coverage", asset="poses", blocking=True, partitions_def=videos),),
)
MOTION = VideoAsset(
    spec=dg.AssetSpec("motion", deps=["poses"], code_version="1"), work=motion, path=Lake.motion, needs=(POSES,)
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("videos", KEYS)
        yield instance


def materialize(
    instance: dg.DagsterInstance,
    lake: Path,
    tags: dict[str, str],
    selection: str = "*",
    assets: Sequence[VideoAsset] = (POSES, MOTION),
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [video_assets("ingest", assets, max_videos_per_run=10)],
        instance=instance,
        tags=tags,
        selection=selection,
        raise_on_error=False,
        resources={"lake": LakeResource(root=str(lake)), "pool": PoolResource(workers=1), "programs": Programs()},
    )


def made(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def test_a_bad_clip_is_named_with_its_reason_and_stops_nothing_else(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    result = materialize(instance, tmp_path, RANGE)

    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert failure.user_failure_data
    description = failure.user_failure_data.description or ""
    assert "2 of 3 videos" in description
    assert f"{DARK}: poses: nobody in view in 97 %" in description
    assert f"{BROKEN}: poses: the file ends in the middle of a frame" in description
    assert made(instance, "poses") == {GOOD, DARK}
    assert made(instance, "motion") == {GOOD}
    assert {problem.key for problem in all_problems(Lake(tmp_path))} == {DARK, BROKEN}


def test_a_clip_that_is_refused_for_what_it_shows_is_no_fault_of_the_run(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.BROKEN", "gym.none.00000009")
    short = replace(MOTION, work=lambda tools, keys: ((key, ShowsTooLittle("0.70 s, of 0.8 s")) for key in keys[:1]))
    result = materialize(instance, tmp_path, RANGE, assets=[POSES])
    assert result.success
    assert made(instance, "poses") == set(KEYS)
    assert [problem.key for problem in all_problems(Lake(tmp_path))] == [DARK]
    logged = [event.message for event in instance.all_logs(result.run_id)]
    assert any("1 of 3 videos did not get through" in line and "nobody in view" in line for line in logged)
    assert materialize(instance, tmp_path, RANGE, selection="motion", assets=[POSES, short]).success
    assert {(one.key, one.reason) for one in all_problems(Lake(tmp_path)) if one.step == "motion"} == {
        (GOOD, "0.70 s, of 0.8 s")
    }


def test_a_run_of_one_clip_that_is_refused_succeeds_and_leaves_its_reason(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert materialize(instance, tmp_path, {"dagster/partition": DARK}).success
    assert [problem.key for problem in all_problems(Lake(tmp_path))] == [DARK]
    assert (made(instance, "poses"), made(instance, "motion")) == ({DARK}, set())


def test_each_video_has_a_check_of_its_own(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    materialize(instance, tmp_path, RANGE)
    key = dg.AssetCheckKey(dg.AssetKey("poses"), "person_coverage")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    verdicts = {record.partition: record.status.value for record in history}
    assert (verdicts[GOOD], verdicts[DARK]) == ("SUCCEEDED", "FAILED")
    assert verdicts.get(BROKEN) not in ("SUCCEEDED", "FAILED"), "there is nothing to check of a clip without poses"


def test_later_work_on_a_blocked_video_says_what_blocked_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    materialize(instance, tmp_path, RANGE)
    result = materialize(instance, tmp_path, {"dagster/partition": DARK}, selection="motion")
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert "poses: nobody in view" in (failure.user_failure_data.description or "")  # type: ignore[union-attr]
    assert made(instance, "motion") == {GOOD}


def test_a_video_that_recovers_leaves_no_problem_behind(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(instance, tmp_path, RANGE)
    monkeypatch.setattr(f"{__name__}.DARK", "gym.none.00000009")
    assert materialize(instance, tmp_path, {"dagster/partition": KEYS[1]}).success
    assert [problem.key for problem in all_problems(Lake(tmp_path))] == [BROKEN]
    assert made(instance, "motion") == {GOOD, KEYS[1]}


def test_a_step_without_its_input_says_what_to_materialize_first(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = materialize(instance, tmp_path, {"dagster/partition": GOOD}, selection="motion")
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert "materialize poses first" in (failure.user_failure_data.description or "")  # type: ignore[union-attr]


@pytest.mark.parametrize("asset", [MOTION_TOKENS, ACTION_PREDICTIONS])
def test_where_no_video_can_be_used_the_workers_get_nothing_and_each_video_its_reason(
    instance: dg.DagsterInstance, tmp_path: Path, asset: VideoAsset
) -> None:
    lake = Lake(tmp_path)
    put_in_use(lake, "tokenizer", "vq-0")
    put_in_use(lake, "recogniser", "all-0001")
    result = materialize(instance, tmp_path, RANGE, assets=[asset])
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert failure.user_failure_data, failure.error
    description = failure.user_failure_data.description or ""
    assert "3 of 3 videos" in description
    assert f"{GOOD}: {asset.name}: there is no " in description


def raising(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    for key in keys:
        if key == BROKEN:
            raise KeyError("a damaged file of this clip")
        yield from poses(tools, [key])


def test_a_clip_whose_work_raises_anything_is_named_and_the_clips_behind_it_are_made(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    asset = replace(POSES, work=lambda tools, keys: raising(tools, keys[::-1]))
    result = materialize(instance, tmp_path, RANGE, assets=[asset])
    assert made(instance, "poses") == {GOOD, DARK}
    assert {problem.key: problem.reason for problem in all_problems(Lake(tmp_path))}[BROKEN] == (
        "KeyError: 'a damaged file of this clip'"
    )
    logged = [event.message for event in instance.all_logs(result.run_id)]
    assert any("Traceback" in message and "in raising" in message for message in logged)


def test_a_damaged_manifest_costs_its_own_clip_only(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    write_bytes(Lake(tmp_path).footage(BROKEN), b"{")
    result = materialize(instance, tmp_path, RANGE, assets=[replace(POSES, applies=has_poses)])
    assert made(instance, "poses") == {GOOD, DARK}
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert str(Lake(tmp_path).footage(BROKEN)) in (failure.user_failure_data.description or "")  # type: ignore[union-attr]


def test_a_fault_of_no_clip_is_no_clips_problem(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    def unable(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        raise ModelUnavailable("the pose model can be neither found nor fetched")
        yield

    assert not materialize(instance, tmp_path, RANGE, assets=[replace(POSES, work=unable)]).success
    assert all_problems(Lake(tmp_path)) == []


def test_a_damaged_problem_still_blocks_its_video_and_stops_no_other(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    materialize(instance, tmp_path, RANGE)
    lake = Lake(tmp_path)
    write_bytes(lake.problem("poses", DARK), b"\xff")
    assert [(one.key, one.step) for one in all_problems(lake)] == [(BROKEN, "poses"), (DARK, "poses")]
    materialize(instance, tmp_path, RANGE, selection="motion")
    assert made(instance, "motion") == {GOOD}
