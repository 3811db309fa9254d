"""Coaching labels through the real asset and command, of athletes whose poses are known without a network."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.coaching.labels.schema import read_label
from posellm_assets.defs.coaching import COACHING_LABELS
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.videos import video_assets
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.endpoint import EndpointConfig
from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets_tests.coaching_clips import add
from posellm_assets_tests.endpoint_server import endpoint, refuses, says

CLEAN, LAGS, FAST = DemoRepetition(), DemoRepetition("asymmetric arms", "right"), DemoRepetition("too fast")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def materialize(lake: Lake, keys: list[str], run_config: dict[str, object] | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", keys)
        return dg.materialize(
            [video_assets("label_videos", [COACHING_LABELS], 50)],
            instance=instance,
            tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
            resources={"lake": LakeResource(root=str(lake.root)), "pool": PoolResource(), "programs": Programs()},
            run_config=run_config,
            raise_on_error=False,
        )


def test_videos_get_labels_with_their_points_score_and_gain_on_the_time_before(lake: Lake) -> None:
    first = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN, FAST), "2026-01-01T10:00:00Z")
    later = add(lake, 2, "squat", (CLEAN, CLEAN, CLEAN, FAST), "2026-01-02T10:00:00Z")
    served = add(lake, 3, "serve", (CLEAN, CLEAN), "2026-01-03T10:00:00Z")
    run = materialize(lake, [later, first, served])
    assert run.success
    before, after, none = (read_label(lake.coaching_label(key)) for key in (first, later, served))
    assert {point.fault for point in before.feedback_points} == {"asymmetric arms", "too fast"}
    assert after.improvement_delta == (after.progress_score or 0) - (before.progress_score or 0) > 0
    assert (none.status, none.exercise) == ("no_rules", "serve")
    verdicts = {(one.check_name, one.partition): one.passed for one in run.get_asset_check_evaluations()}
    assert verdicts["exercise_has_label", served] is False
    assert verdicts["exercise_has_label", first] is verdicts["all_verified", first] is True
    shown = {one.partition: one.metadata for one in run.asset_materializations_for_node("label_videos")}
    assert "Your right arm" in shown[first]["points"].value
    assert "there are no rules for 'serve'" in shown[served]["points"].value


def test_a_clip_without_a_label_is_taken_for_what_was_recognised_in_it(lake: Lake) -> None:
    key = add(lake, 1, "", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    assert Labeller(lake, ["rules"]).label(key).status == "no_rules"
    decision = {"action": "squat", "likeliest": "squat", "confidence": 0.9, "familiarity": 0.8,
                "member": "motion", "seconds": 0.1, "probabilities": {"squat": 0.9}, "opinions": {}}  # fmt: skip
    segment = {"hit_frame": None, "start_frame": 0, "end_frame": 90, "start_s": 0.0, "end_s": 4.0,
               "hit_confidence": None, "timestamp": 0.0, "answer": decision}  # fmt: skip
    write_json(
        lake.action_predictions(key),
        {"video": "x", "duration_s": 4.0, "fps": 24.0, "hits": [], "segments": [segment],
         "method": "clip", "members": {}, "absent": {}, "names": {}, "left_out": [], "seconds": 0.1},
    )  # fmt: skip
    label = Labeller(lake, ["rules"]).label(key)
    assert (label.exercise, [point.fault for point in label.feedback_points]) == ("squat", ["asymmetric arms"])


def test_an_endpoint_that_is_down_fails_its_video_with_the_reason_and_leaves_no_label(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    with endpoint(refuses(401)) as served:
        teachers = [{"url": served.url, "model": "coach-1"}]
        monkeypatch.setenv("POSELLM_COACHING__TEACHERS", json.dumps(teachers))
        run = materialize(lake, [key])
    assert not run.success
    assert not lake.coaching_label(key).exists()
    assert "look at the key" in str(run.failure_data_for_node("label_videos"))


def test_what_an_endpoint_said_and_cost_is_kept_in_the_lake(lake: Lake) -> None:
    key = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    with endpoint(says({"positive_note": "", "feedback_points": [{}]}, usage={"cost": 0.25})) as served:
        teachers = [EndpointConfig(url=served.url, model="coach-1")]
        labels = [Labeller(lake, teachers).label(key) for _ in range(2)]
        assert len(served.requests) == 1
    assert labels[0] == labels[1]
    assert labels[0].rejections == {"schema": 1}
    assert list(read_json(lake.endpoint_spending).values()) == [0.25]
    assert len(list(lake.coaching_answers.iterdir())) == 1


def test_the_command_prints_points_and_refuses_what_has_no_rules(lake: Lake) -> None:
    squat = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    serve = add(lake, 2, "serve", (CLEAN, CLEAN), "2026-01-01T10:00:00Z")
    told = CliRunner().invoke(app, ["coaching", "label", squat, "--lake", str(lake.root), "--json"])
    assert told.exit_code == 0
    (label,) = json.loads(told.stdout)
    assert label["feedback_points"][0]["fault"] == "asymmetric arms"
    assert read_label(lake.coaching_label(squat)).progress_score == label["progress_score"]
    keys = ["gym.nobody.01234567", serve, squat]
    refused = CliRunner().invoke(app, ["coaching", "label", *keys, "--lake", str(lake.root)])
    assert refused.exit_code == 1
    assert "gym.nobody.01234567" in refused.stderr and "Your right arm" in refused.stdout, "one bad key stops no other"
    assert "there are no rules for 'serve'" in refused.stdout


def test_a_video_that_is_not_there_or_has_no_poses_yet_is_said_plainly(lake: Lake) -> None:
    key = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    labeller = Labeller(lake, ["rules"])
    lake.poses(key).unlink()
    with pytest.raises(ValueError, match=f"{key} has no poses yet: run the job ingest_footage"):
        labeller.label(key)
    with pytest.raises(FileNotFoundError, match="nobody"):
        labeller.label("gym.nobody.01234567")


def test_a_run_config_with_a_teacher_and_a_lake_of_its_own_reaches_neither(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    key = add(lake, 1, "squat", (CLEAN, LAGS, CLEAN), "2026-01-01T10:00:00Z")
    with endpoint(says({})) as stranger:
        teacher = {"url": stranger.url, "model": "m", "key_variable": "HF_TOKEN"}
        ours = {"root": str(tmp_path / "elsewhere"), "settings": {"coaching": {"teachers": [teacher]}}}
        run = materialize(lake, [key], {"resources": {"lake": {"config": ours}}})
    assert run.success and read_label(lake.coaching_label(key)).feedback_points
    assert stranger.requests == [] and not (tmp_path / "elsewhere").exists()
