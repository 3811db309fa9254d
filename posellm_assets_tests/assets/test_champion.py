"""The asset that releases: what the gate said is done, once, and only against the champion that it was said of."""

from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.defs.evaluation import champion
from posellm_assets.defs.resources import LakeResource
from posellm_assets.files import write_json
from posellm_assets.generations.releases import history, in_use, roll_back
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.lake import Lake
from posellm_assets_tests.releases import put_in_use

KEYS = ["all-0001", "all-0002", "all-0003"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three finished generations, the second refused, the third fit for release; each report was made against 0001."""
    here = Lake(tmp_path)
    for key in KEYS:
        frozen = Snapshot(
            snapshot=key, scope="all", created_at="", lineage="vq-1", parent=None, videos=[], settings={},
            code_version="",
        )  # fmt: skip
        write_json(here.snapshot(key), frozen.model_dump())
        here.finished_model(key, "stage3").mkdir(parents=True)
        against = None if key == KEYS[0] else KEYS[0]
        decision = {"promote": key != KEYS[1], "reasons": [f"{key} was measured."], "against": against}
        write_json(here.report(key) / "metrics.json", {"decision": decision})
    return here


def materialize(lake: Lake, key: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("snapshots", KEYS)
        return dg.materialize(
            [champion],
            instance=instance,
            partition_key=key,
            raise_on_error=False,
            resources={"lake": LakeResource(root=str(lake.root))},
        )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node("champion")
    return {name: value.value for name, value in event.metadata.items()}


def test_what_the_gate_said_is_done_and_recorded_as_the_gates(lake: Lake) -> None:
    assert metadata(materialize(lake, "all-0001"))["released"] is True
    refused = metadata(materialize(lake, "all-0002"))
    assert (refused["released"], refused["champion"]) == (False, "all-0001")
    assert refused["reasons"] == "- all-0002 was measured."
    assert metadata(materialize(lake, "all-0003"))["champion"] == "all-0003"
    released = in_use(lake, "language")
    assert released and released.promoted_by.startswith("gate, run ")
    assert [release.name for release in history(lake, "language")] == ["all-0001", "all-0003"]


def test_a_generation_that_is_the_champion_already_is_recognised(lake: Lake) -> None:
    for key in ("all-0001", "all-0001", "all-0003", "all-0003"):
        again = metadata(materialize(lake, key))
    assert again["released"] is False and "all-0003" in str(again["champion"])
    assert "It is in use already, since 20" in str(again["reasons"])
    assert [release.name for release in history(lake, "language")] == ["all-0001", "all-0003"]


def test_what_a_person_rolled_back_the_gate_does_not_release_again(lake: Lake) -> None:
    for key in ("all-0001", "all-0003"):
        materialize(lake, key)
    roll_back(lake, "language", by="ana")
    again = metadata(materialize(lake, "all-0003"))
    assert (
        again["released"] is False and "rolled back on" in str(again["reasons"]) and "by ana" in str(again["reasons"])
    )
    assert history(lake, "language")[-1].name == "all-0001"


def test_a_report_against_another_champion_than_todays_releases_nothing(lake: Lake) -> None:
    materialize(lake, "all-0001")
    put_in_use(lake, "language", "all-0002", by="ana")
    result = materialize(lake, "all-0003")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error.cause  # type: ignore[union-attr]
    assert error and (
        "the report of all-0003 compares it with all-0001, but all-0002 is in use by now: make the report again"
        in error.message
    )
    assert history(lake, "language")[-1].name == "all-0002"
