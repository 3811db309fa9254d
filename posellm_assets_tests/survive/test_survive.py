"""What `make ui` starts, killed in the middle of its work and started again: everything is ready and trained on, with
no command. `make survive` runs it: minutes, so that it is in no other run of the tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dagster as dg
import psutil
import pytest

from posellm_assets.defs.partitions import PARTITION, videos
from posellm_assets.defs.runs import ENDED_BADLY
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.footage.splits import split_of
from posellm_assets.generations.inventory import unfinished_videos
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.pool import LocalPool
from posellm_assets_tests.conftest import ROOT, environment, free_port, new_home
from posellm_assets_tests.daemon.real import Daemon
from posellm_assets_tests.waits import HANG_S

NAME = videos.name or ""
STAGES = [{"name": "stage1", "tasks": {"t2m": 0.6, "m2t": 0.4}, "steps": 4}]
SMALL = {
    "FOOTAGE__SETTLE_S": "1",
    "AUTOMATION__RULES__ALL__MIN_NEW_VIDEOS": "3",
    "TOKENIZER__STEPS": "20",
    "LANGUAGE__STAGES": json.dumps(STAGES),
    "EVALUATION__EVALUATOR__STEPS": "10",
    "EVALUATION__SAMPLES_PER_LABEL": "1",
    "EVALUATION__TEXTS": "2",
    "EVALUATION__SAMPLES_PER_TEXT": "1",
}
BATCH = 3


@dataclass
class System:
    """A lake, a Dagster home, and clips to drop."""

    lake: Lake
    home: Path
    rendered: list[Path]
    instance: dg.DagsterInstance

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """Everything that `make ui` starts, in a session of its own, as a terminal has it."""
        command = [sys.executable, "-m", "posellm_assets.defs.ui", "--host", "127.0.0.1", "--port", str(free_port())]
        own = {f"POSELLM_{name}": value for name, value in SMALL.items()}
        log = self.home / "ui.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [*command, "-m", "posellm_assets.definitions"],
                cwd=ROOT,
                env={**environment(self.lake.root, self.home), **own},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield Daemon(process, log)
            finally:
                kill_all(process.pid)
                process.wait(HANG_S)

    def drop(self) -> None:
        """Put a batch of clips into the drop zone, each with its sidecar before it."""
        for path in [self.rendered.pop() for _ in range(BATCH)]:
            place = self.lake.raw / path.relative_to(self.rendered_root)
            place.parent.mkdir(parents=True, exist_ok=True)
            sidecar = path.with_name(path.name + ".json")
            place.with_name(sidecar.name).write_bytes(sidecar.read_bytes())
            place.write_bytes(path.read_bytes())

    @property
    def rendered_root(self) -> Path:
        return self.home.parent / "rendered"

    def ingesting(self) -> dg.DagsterRun | None:
        """The run that ingests, once it has begun to work."""
        started = dg.RunsFilter(job_name="ingest_footage", statuses=[dg.DagsterRunStatus.STARTED])
        for run in self.instance.get_runs(started):
            if self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START):
                return run
        return None

    def all_trained(self, clips: int) -> bool:
        """Whether all clips are ready and in a snapshot, and its generation has been trained and evaluated."""
        ready = set(self.lake.captioned_videos())
        known = snapshot_keys(self.lake)
        if len(ready) < clips or unfinished_videos(self.lake) or not known:
            return False
        held = {video.key for video in read_snapshot(self.lake, known[-1]).videos}
        tags = {PARTITION: known[-1]}
        ended = dg.RunsFilter(job_name="train_generation", tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])
        return held == ready and self.instance.get_runs_count(ended) > 0


def kill_all(pid: int) -> None:
    """SIGKILL a process and everything under it."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    for one in [process, *process.children(recursive=True)]:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue


def render(root: Path, count: int) -> list[Path]:
    """Short clips of train participants, each movement by turns."""
    chosen = [clip for clip in plan(seed=2) if split_of(clip.athlete.participant) == "train"][:count]
    short = [replace(clip, duration_s=1.5) for clip in chosen]
    rendered = []
    for _, outcome in LocalPool().map(partial(render_clip, raw=root), short):
        assert isinstance(outcome, Path), outcome
        rendered.append(outcome)
    return rendered


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("survive")
    home, lake = new_home(folder / "home"), Lake(folder / "lake")
    lake.raw.mkdir(parents=True)
    rendered = render(folder / "rendered", 4 * BATCH)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield System(lake, home, rendered, instance)


def killed_with_everything_under_it(system: System, daemon: Daemon) -> None:
    daemon.wait_for("ingest", system.ingesting)
    kill_all(daemon.process.pid)
    daemon.process.wait(HANG_S)


def stopped_by_ctrl_c(system: System, daemon: Daemon) -> None:
    daemon.wait_for("ingest", system.ingesting)
    os.killpg(daemon.process.pid, signal.SIGINT)
    daemon.process.wait(HANG_S)


def without_its_run_worker(system: System, daemon: Daemon) -> None:
    run = daemon.wait_for("ingest", system.ingesting)
    assert run
    pids = [
        int(str(entry.get_dagster_event().engine_event_data.metadata["pid"].value))
        for entry in system.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if "pid" in entry.get_dagster_event().engine_event_data.metadata
    ]
    kill_all(pids[0])


def with_its_partitions_deleted(system: System, daemon: Daemon) -> None:
    daemon.wait_for("ingest", system.ingesting)
    for key in system.instance.get_dynamic_partitions(NAME):
        system.instance.delete_dynamic_partition(NAME, key)


@pytest.mark.survive
@pytest.mark.timeout(3 * HANG_S)
@pytest.mark.parametrize(
    "struck",
    [
        killed_with_everything_under_it,
        stopped_by_ctrl_c,
        without_its_run_worker,
        with_its_partitions_deleted,
    ],
)
def test_what_was_struck_in_the_middle_of_an_ingest_ends_with_a_generation_of_all_clips(
    system: System, struck: Callable[[System, Daemon], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(system.lake.captioned_videos())
    with system.running() as daemon:
        system.drop()
        struck(system, daemon)
        began_s = time.monotonic()
        if daemon.process.poll() is None:
            daemon.wait_for("generation", lambda: system.all_trained(before + BATCH))
    if not system.all_trained(before + BATCH):
        with system.running() as daemon:
            daemon.wait_for("generation", lambda: system.all_trained(before + BATCH))
    with capsys.disabled():
        told = struck.__name__.replace("_", " ")
        print(f"\n{told}: all {before + BATCH} clips ready and trained on {time.monotonic() - began_s:.0f} s later")
    assert set(system.instance.get_dynamic_partitions(NAME)) == set(system.lake.captioned_videos())
    if struck is not with_its_partitions_deleted:
        ended = dg.RunsFilter(job_name="ingest_footage", statuses=ENDED_BADLY)
        assert system.instance.get_runs_count(ended) > 0, "a run was struck"
