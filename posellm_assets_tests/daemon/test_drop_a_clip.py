"""A real daemon on a real instance: what happens to a clip that somebody drops, with no command."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.defs.footage import FOOTAGE, QUARANTINE
from posellm_assets.defs.partitions import videos
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.daemon.real import Daemon, running_daemon


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "lake" / "raw" / "tennis").mkdir(parents=True)
    return Lake(tmp_path / "lake")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A fresh instance whose databases are made before the daemon opens them.

    Dagster stamps a new SQLite database without a lock: where two processes open it first at the same time it gets
    two revisions and can never be opened again. `dagster dev` too opens the instance before it starts the daemon.
    """
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def daemon(tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> Iterator[Daemon]:
    """The daemon on that instance."""
    with running_daemon(
        tmp_path / "lake", tmp_path / "dagster", tmp_path / "daemon.log", FOOTAGE__SETTLE_S="2"
    ) as daemon:
        yield daemon


@pytest.mark.slow
def test_a_dropped_clip_is_registered_and_run_and_a_broken_one_is_quarantined(
    lake: Lake, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    raw = lake.raw
    daemon.wait_for("tick", lambda: instance.all_instigator_state())
    write_clip(raw / "tennis" / "my first serve.mp4", 1)
    (raw / "tennis" / "broken.mp4").write_text("not a video")
    keys = daemon.wait_for("partition", lambda: instance.get_dynamic_partitions(videos.name or ""))
    assert [key.rsplit(".", 1)[0] for key in keys] == ["tennis.my-first-serve"]
    assert read_manifest(lake, keys[0]).source == "tennis/my first serve.mp4"
    report = daemon.wait_for("quarantine", lambda: instance.get_latest_materialization_event(QUARANTINE.key))
    assert report.asset_materialization
    (row,) = report.asset_materialization.metadata["files"].records  # type: ignore[union-attr]
    assert row.data["file"] == "tennis/broken.mp4" and row.data["reason"]
    daemon.wait_for("footage", lambda: instance.get_materialized_partitions(FOOTAGE.spec.key))
    (run,) = instance.get_runs(dg.RunsFilter(job_name="ingest_footage"))
    assert run.tags["dagster/sensor_name"] == "new_footage_sensor"
    daemon.wait_for("end of the run", lambda: instance.get_run_by_id(run.run_id).is_finished)  # type: ignore[union-attr]
    assert instance.get_materialized_partitions(FOOTAGE.spec.key) == {keys[0]}
