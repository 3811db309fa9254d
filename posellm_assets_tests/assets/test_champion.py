"""The asset that releases: what the gate said is done, once, and only against the champion that it was said of."""

from pathlib import Path

import dagster as dg
import pytest
from posellm_assets.generations.champion import promote, read_champion, read_history, roll_back

from posellm_assets.defs.evaluation import champion
from posellm_assets.defs.resources import LakeResource
from posellm_assets.files import write_json
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.lake import Lake

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
    released = read_champion(lake)
    assert released and released.promoted_by.startswith("gate, run ")
    assert [release.snapshot for release in read_history(lake)] == ["all-0001", "all-0003"]


def test_a_generation_that_is_the_champion_already_is_recognised(lake: Lake) -> None:
    for key in ("all-0001", "all-0001", "all-0003", "all-0003"):
        again = metadata(materialize(lake, key))
    assert again["released"] is False and "all-0003" in str(again["champion"])
    assert "It is the champion already, since 20" in str(again["reasons"])
    assert [release.snapshot for release in read_history(lake)] == ["all-0001", "all-0003"]


def test_what_a_person_rolled_back_the_gate_does_not_release_again(lake: Lake) -> None:
    for key in ("all-0001", "all-0003"):
        materialize(lake, key)
    roll_back(lake, by="ana")
    again = metadata(materialize(lake, "all-0003"))
    assert (
        again["released"] is False and "rolled back on" in str(again["reasons"]) and "by ana" in str(again["reasons"])
    )
    assert read_history(lake)[-1].snapshot == "all-0001"


def test_a_report_against_another_champion_than_todays_releases_nothing(lake: Lake) -> None:
    materialize(lake, "all-0001")
    promote(
        lake, snapshot="all-0002", stage="stage3", lineage="vq-1", reasons=[], by="ana", instead_of="all-0001"
    )  # fmt: skip
    result = materialize(lake, "all-0003")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    description = failure.step_failure_data.user_failure_data.description
    assert description == (
        "the report of all-0003 compares it with all-0001, but the champion is all-0002 by now: materialize "
        "evaluation_report again"
    )
    assert read_history(lake)[-1].snapshot == "all-0002"
