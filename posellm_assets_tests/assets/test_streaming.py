"""Dataset, coach and report through the real assets, on athletes whose poses are known without a network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest

from posellm_assets.coaching.streaming.config import CoachJob
from posellm_assets.coaching.streaming.dataset import write_dataset
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs
from posellm_assets.defs.streaming_coach import feedback_dataset, streaming_coach, streaming_report
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.register import register
from posellm_assets.generations.releases import in_use
from posellm_assets.jobs.coaching import feedback_job
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses
from posellm_assets.program import Job
from posellm_assets.settings import load_settings
from posellm_assets_tests.in_process import InThisProcess
from posellm_assets_tests.unit.actions.clips import PEOPLE, freeze
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video
from posellm_assets_tests.unit.motion.test_tokenizer import SMALL, untrained


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Ten people do squats; a coach speaks to all but one, and one of them was not seen at all."""
    lake = Lake(tmp_path / "lake")
    (tmp_path / "posellm.yaml").write_text("streaming: {steps: 4, evaluations: 2, hidden_size: 8, rows_per_batch: 2}\n")
    keys = []
    for number, take in zip(PEOPLE, takes("squat"), strict=False):
        clip, source = cycles(take, 3), f"gym/squat/{number}.mp4"
        path = lake.raw / source
        path.parent.mkdir(parents=True, exist_ok=True)
        write_grey_video(path, [clip.frame_count], [90 + number])
        said = [{"t": 0.0, "text": "Squats!", "transition": True}, {"t": 2.0, "text": "Push your left knee out."}]
        silent = {"participant": f"person {number}"}
        write_json(path.with_name(path.name + ".json"), silent if number == PEOPLE[0] else silent | {"feedback": said})
        key = register(lake, source).key or ""
        subject = seen(clip)
        alone = [values[:, None] for values in (subject.landmarks, subject.visibility, subject.presence, subject.world)]
        if number == PEOPLE[1]:
            alone = [values * float("nan") for values in alone]
        Poses(subject.time_s, *alone, subject.width, subject.height, subject.fps, "").write(lake.poses(key))
        motion_from_poses(subject, MotionConfig()).write(lake.motion(key))
        keys.append(key)
    freeze(lake, "all-0001", keys)
    untrained(SMALL).save(lake.tokenizer("vq"))
    return lake


def test_a_snapshot_becomes_a_coach_and_a_report_that_says_whether_it_is_promoted(lake: Lake) -> None:
    resources = {"lake": LakeResource(root=str(lake.root)), "programs": InThisProcess()}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(snapshots.name or "", ["all-0001"])
        made = dg.materialize(
            [feedback_dataset, streaming_coach, streaming_report],
            partition_key="all-0001",
            instance=instance,
            resources=resources,
        )
    (dataset,) = made.asset_materializations_for_node("feedback_dataset")
    assert (dataset.metadata["sessions"].value, dataset.metadata["refused"].value) == (8, 1)
    folder = lake.feedback_dataset("all-0001")
    record = read_json(folder / "dataset.json")
    assert ["nobody is in view" in reason for reason in record["refused"].values()] == [True]
    assert {one["split"] for one in record["sessions"]} == {"train", "val", "test"}
    windows = {path: path.stat().st_mtime_ns for path in (folder / "windows").iterdir()}
    job = feedback_job(lake, load_settings(lake), "all-0001")
    assert write_dataset(job, print) == record, "a killed run keeps the windows that it has written"
    assert {path: path.stat().st_mtime_ns for path in (folder / "windows").iterdir()} == windows
    (coach,) = made.asset_materializations_for_node("streaming_coach")
    assert coach.metadata["steps"].value == 4
    assert coach.metadata["threshold_chosen_on"].value == "val"
    (report,) = made.asset_materializations_for_node("streaming_report")
    metrics = read_json(lake.streaming_report("all-0001") / "metrics.json")
    assert report.metadata["promoted"].value == metrics["decision"]["promote"] == (in_use(lake, "coach") is not None)
    assert "constant chatter" in str(report.metadata["summary"].value)


class OverflowingJob(CoachJob):
    """A coach trained on a machine whose losses overflow where it learns too fast."""

    program: ClassVar[str] = "posellm_assets_tests.assets.overflowing"


class OnSuchAMachine(Programs):
    """Runs the program of coaches, in a process of its own, with losses that overflow."""

    def run(self, context: dg.AssetExecutionContext, job: Job, progress: Callable[[], dict[str, Any]] = dict) -> None:
        """See `Programs.run`."""
        super().run(context, OverflowingJob.model_validate(job.model_dump()), progress)


def test_a_loss_that_is_no_number_is_repaired_by_a_lower_learning_rate_in_the_folder_of_the_graph(lake: Lake) -> None:
    out, settings = lake.streaming_coach("all-0001"), lake.root.with_name("posellm.yaml")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(snapshots.name or "", ["all-0001"])
        given: dict[str, Any] = {"partition_key": "all-0001", "instance": instance}
        here = {"lake": LakeResource(root=str(lake.root))}
        dg.materialize([feedback_dataset], **given, resources={**here, "programs": InThisProcess()})
        there = {**here, "programs": OnSuchAMachine()}
        calm = "steps: 6, evaluations: 2, hidden_size: 8, rows_per_batch: 2"
        settings.write_text(f"streaming: {{{calm}, learning_rate: 0.02}}\n")
        broken = dg.materialize([streaming_coach], **given, resources=there, raise_on_error=False)
        assert not broken.success and not (out / "final").exists()
        assert read_json(out / "checkpoint-2" / "position.json")["broke"]
        settings.write_text(f"streaming: {{{calm}, learning_rate: 0.003}}\n")
        repaired = dg.materialize([streaming_coach], **given, resources=there)
    assert repaired.success and (out / "final").is_dir()
    result = read_json(out / "result.json")
    assert result["changed"] == ["config.learning_rate was 0.02 and is now 0.003"]
    rates = [json.loads(line)["lr"] for line in (out / "losses.jsonl").read_text().splitlines()]
    assert len(rates) == 6 and rates[0] > 0.01 > rates[2], "two steps of the old training, and the rest of the new one"
