"""A real daemon: thirty clips of a sport that nobody has heard of, and no command.

It waits for three ticks of sensors and some ten programs that load torch: minutes, not a minute.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.commands.status import overview
from posellm_assets.defs.footage import QUARANTINE
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.files import read_json
from posellm_assets.generations.snapshots import Snapshot, read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.pool import LocalPool
from posellm_assets_tests.conftest import Demo
from posellm_assets_tests.daemon.real import running_daemon
from posellm_assets_tests.waits import HANG_S

CLIPS = 30
SPORT = "curling"
STAGES = [
    {"name": "stage1", "tasks": {"motion": 1.0}, "steps": 4},
    {"name": "stage2", "tasks": {"t2m": 0.5, "m2t": 0.5}, "steps": 4},
    {"name": "stage3", "tasks": {"t2m": 0.6, "m2t": 0.4}, "steps": 4},
]
SMALL = {
    "FOOTAGE__SETTLE_S": "2",
    "AUTOMATION__RULES__ALL__MIN_NEW_VIDEOS": str(CLIPS - 1),
    "LANGUAGE__STAGES": json.dumps(STAGES),
    "EVALUATION__EVALUATOR__STEPS": "10",
    "EVALUATION__SAMPLES_PER_LABEL": "1",
    "EVALUATION__TEXTS": "2",
    "EVALUATION__SAMPLES_PER_TEXT": "1",
}


def render_new_sport(folder: Path) -> None:
    """Thirty short clips of two movements, one of them cut off in the middle of the file."""
    chosen = [clip for clip in plan(seed=2) if clip.movement.name in ("squat", "lunge")][:CLIPS]
    chosen += plan(seed=3)[: CLIPS - len(chosen)]
    clips = [
        replace(clip, sport=SPORT, label="sweep" if number % 2 else "delivery", file=f"{number:02}.mp4", duration_s=1.5)
        for number, clip in enumerate(chosen)
    ]
    for _, outcome in LocalPool().map(_Render(folder), clips):
        assert isinstance(outcome, Path), outcome
    broken = clips[0].path(folder)
    broken.write_bytes(broken.read_bytes()[:5_000])


class _Render:
    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, clip):
        return render_clip(clip, self.folder)


@pytest.mark.slow
@pytest.mark.timeout(3 * HANG_S)
def test_a_new_sport_leads_without_a_command_to_a_generation_that_knows_it(own_demo: Demo, tmp_path: Path) -> None:
    render_new_sport(tmp_path / "rendered")
    lake = Lake(own_demo.lake)
    with (
        dg.DagsterInstance.from_config(str(own_demo.home)) as instance,
        running_daemon(own_demo.lake, own_demo.home, tmp_path / "daemon.log", **SMALL) as daemon,
    ):
        shutil.copytree(tmp_path / "rendered", lake.raw, dirs_exist_ok=True)

        def generation() -> Snapshot | None:
            return read_snapshot(lake, "all-0002") if "all-0002" in snapshot_keys(lake) else None

        snapshot = daemon.wait_for("snapshot", generation)

        def ended() -> dg.DagsterRun | None:
            tags = {"dagster/partition": "all-0002"}
            runs = instance.get_runs(dg.RunsFilter(job_name="train_generation", tags=tags))
            return next((run for run in runs if run.is_finished), None)

        run = daemon.wait_for("end of the generation", ended)
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.tags["dagster/sensor_name"] == "retraining_sensor"
        report = instance.get_latest_materialization_event(QUARANTINE.key)

    new = [video for video in snapshot.videos if video.sport == SPORT]
    assert len(new) == CLIPS - 1, "the broken one blocks nothing"
    assert len(snapshot.videos) == CLIPS - 1 + len(read_snapshot(lake, "all-0001").videos)
    assert report and report.asset_materialization
    named = [row.data["file"] for row in report.asset_materialization.metadata["files"].records]  # type: ignore[union-attr]
    assert named == ["curling/delivery/00.mp4"], "the broken one is named"
    assert "curling/delivery/00.mp4" in str(overview(lake)["not_used"])
    model = lake.finished_model("all-0002", "stage3")
    assert {"delivery", "sweep"} <= set(read_json(model / "taught.json")["movements"]), "the model knows the sport"
    assert read_json(model.parent / "result.json")["parent"], "it goes on from the model of the demo"
    assert (lake.report("all-0002") / "metrics.json").exists()
