"""Dataset, coach and report through the real assets, on athletes whose poses are known without a network."""

import importlib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

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
from posellm_assets_tests.unit.actions.clips import PEOPLE, freeze
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video
from posellm_assets_tests.unit.motion.test_tokenizer import SMALL, untrained

FUNCTIONS = {"dataset": "write_dataset", "train": "train", "report": "evaluate"}


class InThisProcess(Programs):
    """Runs the programs here, each on its job as JSON, because a process of its own loads torch for seconds."""

    def run(self, context: dg.AssetExecutionContext, job: Job, progress: Any = None) -> None:
        """See `Programs.run`."""
        program = importlib.import_module(job.program)
        function = getattr(program, FUNCTIONS[job.program.rsplit(".", 1)[1]])
        function(type(job).model_validate_json(job.model_dump_json()), context.log.info)


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


def test_a_snapshot_becomes_a_coach_and_a_report_that_says_whether_it_comes_into_use(lake: Lake) -> None:
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
