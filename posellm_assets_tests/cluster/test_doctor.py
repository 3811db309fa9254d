"""`posellm doctor --cluster` on a cluster, and what it says of a lake on which something does not hold."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posellm_assets.commands import cluster_doctor
from posellm_assets.commands.cluster_doctor import examine_cluster, shared
from posellm_assets.commands.doctor import Finding
from posellm_assets.lake import Lake
from posellm_assets_tests.cluster.conftest import TestCluster


@pytest.mark.cluster
def test_every_machine_of_a_cluster_is_looked_at(
    cluster: TestCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELLM_CLUSTER__ADDRESS", cluster.address)
    lake = Lake(tmp_path / "lake")
    lake.root.mkdir()
    findings = list(examine_cluster(lake))
    assert [finding for finding in findings if finding.needed and not finding.ok] == []
    assert len([finding for finding in findings if finding.name.endswith(": renames")]) == 3
    assert any("free 0." in finding.found for finding in findings if finding.name.endswith(": locks"))
    assert list(lake.root.iterdir()) == []


def started(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """What another machine would do, in a thread of this process."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()

    def result() -> Any:
        thread.join()
        return results[0]

    return result


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name.split(": ")[1]: finding for finding in findings}


def test_a_lake_on_which_all_holds_has_no_findings(tmp_path: Path) -> None:
    found = named(list(shared("one", started, tmp_path)))
    assert all(finding.ok for finding in found.values()) and list(found) == ["lake", "locks", "renames"]


def test_a_file_that_vanishes_under_its_reader_is_named_with_the_trash_of_juicefs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanishing(path: Path, content: Any) -> None:
        path.unlink(missing_ok=True)
        time.sleep(0.001)
        path.write_text("{}")

    monkeypatch.setattr(cluster_doctor, "write_json", vanishing)
    found = named(list(shared("one", started, tmp_path)))["renames"]
    assert not found.ok and "did not find it" in found.found and "--trash-days 1" in found.remedy


def test_a_lock_that_holds_on_one_machine_only_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_doctor, "_can_lock", lambda path: True)
    found = named(list(shared("one", started, tmp_path)))["locks"]
    assert not found.ok and "a lock that is held there can be taken here" in found.found


def test_without_a_cluster_the_doctor_says_what_to_set(tmp_path: Path) -> None:
    (finding,) = examine_cluster(Lake(tmp_path / "lake"))
    assert not finding.ok and "cluster.address" in finding.remedy
