"""A real daemon on a real instance: what happens to a clip that somebody drops, with no command."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import dagster as dg
import pytest

from posellm_assets.defs.footage import FOOTAGE, QUARANTINE
from posellm_assets.defs.partitions import videos
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip

Found = TypeVar("Found")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "lake" / "raw" / "tennis").mkdir(parents=True)
    return Lake(tmp_path / "lake")


@pytest.fixture
def daemon(tmp_path: Path, lake: Lake) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon as `make ui` starts it, with an instance of its own."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "POSELLM_LAKE": str(lake.root),
        "POSELLM_FOOTAGE__SETTLE_S": "2",
    }
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "posellm_assets.definitions"]
    with (tmp_path / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        yield process
        process.terminate()
        process.wait(60)


def wait_for(what: str, look: Callable[[], Found], daemon: subprocess.Popen[bytes], log: Path, seconds: int) -> Found:
    """What `look` finds as soon as it finds something; fails with the daemon's log where it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        if daemon.poll() is not None:
            break
        time.sleep(0.5)
    raise AssertionError(f"no {what} after {seconds} s. The daemon says:\n{log.read_text()[-6000:]}")


@pytest.mark.slow
def test_a_dropped_clip_is_registered_and_run_and_a_broken_one_is_quarantined(
    tmp_path: Path, lake: Lake, daemon: subprocess.Popen[bytes]
) -> None:
    raw = Path(str(lake.raw))
    log = tmp_path / "daemon.log"
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        wait_for("tick", lambda: instance.all_instigator_state(), daemon, log, 120)
        write_clip(raw / "tennis" / "my first serve.mp4", 1)
        (raw / "tennis" / "broken.mp4").write_text("not a video")
        keys = wait_for("partition", lambda: instance.get_dynamic_partitions(videos.name or ""), daemon, log, 120)
        assert [key.rsplit(".", 1)[0] for key in keys] == ["tennis.my-first-serve"]
        assert read_manifest(lake, keys[0]).source == "tennis/my first serve.mp4"
        report = wait_for(
            "quarantine", lambda: instance.get_latest_materialization_event(QUARANTINE.key), daemon, log, 60
        )
        assert report.asset_materialization
        (row,) = report.asset_materialization.metadata["files"].records  # type: ignore[union-attr]
        assert row.data["file"] == "tennis/broken.mp4" and row.data["reason"]
        wait_for("footage", lambda: instance.get_materialized_partitions(FOOTAGE.spec.key), daemon, log, 180)
        (run,) = instance.get_runs(dg.RunsFilter(job_name="ingest_footage"))
        assert run.tags["dagster/sensor_name"] == "new_footage_sensor"
        wait_for("end of the run", lambda: instance.get_run_by_id(run.run_id).is_finished, daemon, log, 240)  # type: ignore[union-attr]
        assert instance.get_materialized_partitions(FOOTAGE.spec.key) == {keys[0]}
