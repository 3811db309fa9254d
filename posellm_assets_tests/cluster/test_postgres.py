"""Dagster's records in Postgres, which is away for a minute in the middle of an ingest."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from posellm_assets.cluster.postgres import HOST, USER, NoPostgres, Postgres, running_postgres
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.motion import MOTION
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.lake import Lake
from posellm_assets_tests.conftest import ROOT
from posellm_assets_tests.daemon.real import running_daemon

pytestmark = pytest.mark.cluster
CLIPS = 6
AWAY_S = 60.0


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed: make cluster")
    try:
        with running_postgres() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(str(error))


def test_a_postgres_that_is_away_for_a_minute_loses_nothing_that_was_made(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, home = Lake(tmp_path / "lake"), tmp_path / "home"
    for name, value in {"HOST": HOST, "USER": USER, "PASSWORD": "unused"}.items():
        monkeypatch.setenv(f"POSELLM_PG_{name}", value)
    home.mkdir()
    example = yaml.safe_load((ROOT / "dagster.cluster.yaml.example").read_text())
    example["storage"]["postgres"]["postgres_db"]["port"] = postgres.port
    (home / "dagster.yaml").write_text(yaml.safe_dump(example))
    for clip in plan(0)[:CLIPS]:
        render_clip(clip, lake.raw)
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        # Never trained: what is asked about here is the ingest.
        running_daemon(
            lake.root,
            home,
            tmp_path / "daemon.log",
            FOOTAGE__SETTLE_S="1",
            AUTOMATION__RULES__ALL__MIN_NEW_VIDEOS="1000",
        ) as daemon,
    ):
        daemon.wait_for("poses", lambda: list(lake.root.glob("poses/**/*.parquet")))
        postgres.kill()
        time.sleep(AWAY_S)  # how long it is away is what the test is about
        postgres.start()

        def all_ready() -> bool:
            ready = set(lake.captioned_videos())
            logged = [answering(instance, asset.spec.key) for asset in (FOOTAGE, POSES, MOTION, CAPTIONS)]
            return len(ready) == CLIPS and all(keys == ready for keys in logged)

        daemon.wait_for("agreement of log and disk", all_ready)


def answering(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    """The partitions that are logged, asked again where the connection was that of the server before."""
    from sqlalchemy.exc import OperationalError

    try:
        return instance.get_materialized_partitions(asset)
    except OperationalError:
        return set()
