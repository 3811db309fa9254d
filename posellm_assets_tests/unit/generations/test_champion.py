"""Releases and rollbacks: one atomic change each, recorded with who made it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posellm_assets.files import write_json
from posellm_assets.generations.champion import (
    candidates,
    promote,
    read_champion,
    read_history,
    read_predecessor,
    roll_back,
    rolled_back,
)
from posellm_assets.lake import Lake

STAGE = "stage3"
TURNS = """
import itertools, sys
from posellm_assets.generations.champion import promote
from posellm_assets.lake import Lake
lake = Lake(sys.argv[1])
for turn in itertools.count():
    promote(lake, snapshot=f"all-{turn + 2:04d}", stage="stage3", lineage="vq-1", reasons=[], by="gate",
            instead_of=f"all-{turn + 1:04d}")
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    here = Lake(tmp_path)
    for key in ("all-0001", "all-0002", "all-0003", "tennis-0001"):
        here.finished_model(key, STAGE).mkdir(parents=True)
    return here


def release(lake: Lake, snapshot: str, instead_of: str | None = None, by: str = "gate, run 1") -> None:
    promote(lake, snapshot=snapshot, stage=STAGE, lineage="vq-1", reasons=["good"], by=by, instead_of=instead_of)


def test_a_release_says_what_when_by_whom_and_why(lake: Lake) -> None:
    assert read_champion(lake) is None
    release(lake, "all-0001")
    champion = read_champion(lake)
    assert champion and (champion.snapshot, champion.promoted_by, champion.reasons, champion.change) == (
        "all-0001", "gate, run 1", ["good"], "promotion",
    )  # fmt: skip
    assert champion.promoted_at.endswith("+00:00")


def test_a_rollback_releases_what_was_there_before_and_forgets_nothing(lake: Lake) -> None:
    release(lake, "all-0001")
    release(lake, "all-0002", "all-0001")
    release(lake, "all-0003", "all-0002")
    assert roll_back(lake, by="ana", why="it mixes left and right").snapshot == "all-0002"
    assert read_champion(lake) == read_history(lake)[-1]
    last = read_history(lake)[-1]
    assert (last.change, last.promoted_by) == ("rollback", "ana")
    assert last.reasons == ["In the place of all-0003.", "it mixes left and right"]
    roll_back(lake, by="ana")
    assert [entry.snapshot for entry in read_history(lake)] == [
        "all-0001", "all-0002", "all-0003", "all-0002", "all-0001",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no model to go back to: all-0001 is the first champion"):
        roll_back(lake, by="ana")
    release(lake, "all-0003", "all-0001")
    predecessor = read_predecessor(lake)
    assert predecessor and predecessor.snapshot == "all-0001"


def test_what_was_rolled_back_is_known_until_it_is_released_again(lake: Lake) -> None:
    release(lake, "all-0001")
    release(lake, "all-0002", "all-0001")
    assert rolled_back(lake, "all-0002") is None
    roll_back(lake, by="ana")
    back = rolled_back(lake, "all-0002")
    assert back and back.promoted_by == "ana" and rolled_back(lake, "all-0001") is None
    release(lake, "all-0002", "all-0001", by="ana")
    assert rolled_back(lake, "all-0002") is None


def test_a_sport_with_generations_of_its_own_has_a_champion_of_its_own(lake: Lake) -> None:
    release(lake, "all-0001")
    release(lake, "tennis-0001")
    assert [read_champion(lake, scope).snapshot for scope in ("all", "tennis")] == ["all-0001", "tennis-0001"]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="tennis-0001 is the first champion"):
        roll_back(lake, by="ana", scope="tennis")


def test_what_cannot_be_released_changes_nothing(lake: Lake) -> None:
    release(lake, "all-0001")
    before = lake.champion.read_bytes()
    with pytest.raises(ValueError, match="all-0001 is the champion already, since 20"):
        release(lake, "all-0001", "all-0001")
    with pytest.raises(ValueError, match="all-0003 was to replace all-0002, but the champion is all-0001 by now"):
        release(lake, "all-0003", "all-0002")
    with pytest.raises(FileNotFoundError, match="stage3 of all-0004 has not finished"):
        release(lake, "all-0004", "all-0001")
    assert lake.champion.read_bytes() == before


def test_the_record_of_an_earlier_version_is_the_first_release(lake: Lake) -> None:
    about = {"stage": STAGE, "lineage": "vq-1", "reasons": [], "promoted_at": "2026-01-01", "promoted_by": "run 1"}
    write_json(lake.champion, {"snapshot": "all-0001", **about})
    release(lake, "all-0002", "all-0001")
    assert [entry.snapshot for entry in read_history(lake)] == ["all-0001", "all-0002"]
    assert roll_back(lake, by="ana").promoted_by == "ana"


def test_generations_that_were_measured_and_not_released_stay_as_candidates(lake: Lake) -> None:
    for key, promoted in (("all-0001", True), ("all-0002", False)):
        write_json(lake.snapshot(key), {})
        write_json(lake.report(key) / "metrics.json", {"decision": {"promote": promoted, "reasons": [f"why {key}"]}})
    write_json(lake.snapshot("all-0003"), {})
    release(lake, "all-0001")
    assert candidates(lake) == {"all-0002": ["why all-0002"]}


def test_a_promotion_that_is_killed_leaves_the_old_champion_or_the_new_one(tmp_path: Path) -> None:
    lake, chance = Lake(tmp_path), random.Random(0)
    lake.champion.parent.mkdir(exist_ok=True)
    for number in range(1, 500):
        lake.finished_model(f"all-{number:04d}", STAGE).mkdir(parents=True)
    for _ in range(2):
        lake.champion.unlink(missing_ok=True)
        release(lake, "all-0001")
        process = subprocess.Popen([sys.executable, "-c", TURNS, str(tmp_path)], stderr=subprocess.PIPE)
        while len(json.loads(lake.champion.read_bytes())["releases"]) < 5:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        history = [entry.snapshot for entry in read_history(lake)]
        assert history == [f"all-{number + 1:04d}" for number in range(len(history))]
        assert len(history) > 4
        release(lake, f"all-{len(history) + 1:04d}", history[-1])


def test_of_two_that_would_replace_the_same_champion_one_does(lake: Lake) -> None:
    release(lake, "all-0001")

    def replaced_by(snapshot: str) -> bool:
        try:
            release(lake, snapshot, "all-0001")
        except ValueError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(replaced_by, ["all-0002", "all-0003"])) == [False, True]
    assert len(read_history(lake)) == 2
