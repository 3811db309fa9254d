"""What is in use of each kind of model: promotions and rollbacks, one atomic change each, recorded with who made it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.files import write_json
from posellm_assets.generations.gate import GateOutcome
from posellm_assets.generations.releases import (
    ABOUT,
    KINDS,
    Release,
    candidates,
    history,
    in_use,
    promote,
    promote_by_hand,
    promote_if_passed,
    required,
    rival,
    roll_back,
    rolled_back,
    ruling,
)
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.generations.tokenizers import adopt_tokenizer, lineage_in_use
from posellm_assets.lake import METRICS, Lake, ModelKind
from posellm_assets_tests.tokens import write_codebook, write_tokenizer_training
from posellm_assets_tests.waits import HANG_S

NAMES = ("all-0001", "all-0002", "all-0003")
GATED = tuple(kind for kind in KINDS if ABOUT[kind].report)
TURNS = """
import itertools, sys
from posellm_assets.generations.releases import promote
from posellm_assets.lake import Lake
lake, kind = Lake(sys.argv[1]), sys.argv[2]
for turn in itertools.count(1):
    promote(lake, kind, f"all-{turn + 1:04d}", folder=lake.raw, lineage="vq-1", reasons=["x" * 1000], by="gate",
            instead_of=f"all-{turn:04d}")
"""
RACE = """
import sys
from posellm_assets.generations.releases import in_use, promote
from posellm_assets.lake import Lake
lake, kind, prefix, won = Lake(sys.argv[1]), sys.argv[2], int(sys.argv[3]), 0
while won < 20:
    now = in_use(lake, kind)
    try:
        promote(lake, kind, f"all-{prefix + won:04d}", folder=lake.raw, lineage="vq-1", reasons=[], by="race",
                instead_of=now.name if now else None)
        won += 1
    except ValueError:
        pass
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with three generations of `all` and one of tennis, of which every kind of model is finished."""
    here = Lake(tmp_path)
    here.raw.mkdir()
    for name in (*NAMES, "tennis-0001"):
        frozen = Snapshot(
            snapshot=name, scope=name.rsplit("-", 1)[0], created_at="", lineage="vq-1", parent=None, videos=[],
            settings={"language": {"stages": [{"name": "stage3"}]}}, code_version="",
        )  # fmt: skip
        write_json(here.snapshot(name), frozen.model_dump())
        for kind in KINDS:
            ABOUT[kind].folder(here, name).mkdir(parents=True, exist_ok=True)
    return here


def release(lake: Lake, kind: ModelKind, name: str, instead_of: str | None = None) -> Release:
    folder = ABOUT[kind].folder(lake, name)
    return promote(
        lake, kind, name, folder=folder, lineage="vq-1", reasons=["good"], by="gate, run 1", instead_of=instead_of
    )


def report(lake: Lake, kind: ModelKind, name: str, passed: bool, against: str | None = None) -> None:
    outcome = GateOutcome(promote=passed, reasons=(f"{name} was measured.",), against=against)
    folder = ABOUT[kind].report(lake, name)  # type: ignore[misc]
    write_json(folder / METRICS, {"decision": outcome.model_dump(mode="json")})


def by_gate(lake: Lake, kind: ModelKind, name: str) -> tuple[bool, tuple[str, ...]]:
    return promote_if_passed(
        lake, kind, name, folder=ABOUT[kind].folder(lake, name), lineage="vq-1", by="gate, run 2"
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_says_what_where_when_by_whom_and_why(lake: Lake, kind: ModelKind) -> None:
    assert in_use(lake, kind) is None
    release(lake, kind, "all-0001")
    now = in_use(lake, kind)
    assert now and (now.kind, now.name, now.promoted_by, now.reasons, now.change) == (
        kind, "all-0001", "gate, run 1", ("good",), "promotion",
    )  # fmt: skip
    assert now.path(lake) == ABOUT[kind].folder(lake, "all-0001")
    assert now.promoted_at.endswith("+00:00")
    assert [in_use(lake, other) for other in KINDS if other != kind] == [None] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollback_puts_in_use_what_was_before_and_forgets_nothing(lake: Lake, kind: ModelKind) -> None:
    release(lake, kind, "all-0001")
    release(lake, kind, "all-0002", "all-0001")
    release(lake, kind, "all-0003", "all-0002")
    assert roll_back(lake, kind, by="ana", why="it mixes left and right").name == "all-0002"
    last = history(lake, kind)[-1]
    assert in_use(lake, kind) == last
    assert (last.change, last.promoted_by) == ("rollback", "ana")
    assert last.reasons == ("In the place of all-0003.", "it mixes left and right")
    roll_back(lake, kind, by="ana")
    assert [entry.name for entry in history(lake, kind)] == ["all-0001", "all-0002", "all-0003", "all-0002", "all-0001"]
    with pytest.raises(ValueError, match=f"there is no {ABOUT[kind].noun} to go back to: all-0001 is the first one"):
        roll_back(lake, kind, by="ana")
    release(lake, kind, "all-0003", "all-0001")
    before = rival(lake, kind, "all-0003")
    assert before and before.name == "all-0001", "it is measured against what it replaced"


def test_a_lake_that_comes_to_lie_elsewhere_keeps_what_is_in_use(lake: Lake, tmp_path: Path) -> None:
    release(lake, "coach", "all-0001")
    moved = lake.root.rename(tmp_path.with_name("moved"))
    assert required(Lake(moved), "coach").path(Lake(moved)).is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_rolled_back_is_known_until_it_is_promoted_again(lake: Lake, kind: ModelKind) -> None:
    release(lake, kind, "all-0001")
    release(lake, kind, "all-0002", "all-0001")
    assert rolled_back(history(lake, kind), "all-0002") is None
    roll_back(lake, kind, by="ana")
    back = rolled_back(history(lake, kind), "all-0002")
    assert back and back.promoted_by == "ana" and rolled_back(history(lake, kind), "all-0001") is None
    release(lake, kind, "all-0002", "all-0001")
    assert rolled_back(history(lake, kind), "all-0002") is None


def test_only_language_models_are_in_use_by_scope(lake: Lake) -> None:
    for kind in ("language", "recogniser"):
        release(lake, kind, "all-0001")
    release(lake, "language", "tennis-0001")
    release(lake, "recogniser", "tennis-0001", "all-0001")
    assert [one and one.name for one in (in_use(lake, "language"), in_use(lake, "language", "tennis"))] == [
        "all-0001", "tennis-0001",
    ]  # fmt: skip
    assert required(lake, "recogniser").name == "tennis-0001"
    with pytest.raises(ValueError, match="tennis-0001 is the first one"):
        roll_back(lake, "language", by="ana", scope="tennis")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_promoted_changes_nothing(lake: Lake, kind: ModelKind) -> None:
    release(lake, kind, "all-0001")
    before = lake.releases(kind).read_bytes()
    with pytest.raises(ValueError, match="all-0001 is in use already, since 20"):
        release(lake, kind, "all-0001", "all-0001")
    with pytest.raises(ValueError, match="all-0003 was to replace all-0002, but all-0001 is in use by now"):
        release(lake, kind, "all-0003", "all-0002")
    with pytest.raises(FileNotFoundError, match="the training of all-0004 has not finished"):
        promote(
            lake, kind, "all-0004", folder=lake.root / "none", lineage="vq-1", reasons=[], by="", instead_of="all-0001"
        )
    assert lake.releases(kind).read_bytes() == before


@pytest.mark.parametrize("kind", GATED)
def test_nothing_is_in_use_before_its_report(lake: Lake, kind: ModelKind) -> None:
    with pytest.raises(FileNotFoundError, match="all-0001 has no report yet"):
        by_gate(lake, kind, "all-0001")
    with pytest.raises(ValueError, match="all-0001 has no report in"):
        promote_by_hand(lake, kind, "all-0001", by="ana")
    with pytest.raises(ValueError, match=f"no {ABOUT[kind].noun} is in use in .*: .*run the job train_"):
        required(lake, kind)
    report(lake, kind, "all-0001", passed=True)
    assert by_gate(lake, kind, "all-0001") == (True, ("all-0001 was measured.",))
    now = required(lake, kind)
    assert (now.name, now.gate, now.promoted_by, now.reasons) == (
        "all-0001", "passed", "gate, run 2", ("all-0001 was measured.",),
    )  # fmt: skip


@pytest.mark.parametrize("kind", GATED)
def test_what_the_gate_refuses_leaves_the_old_one_in_use_and_a_person_can_promote_it(
    lake: Lake, kind: ModelKind
) -> None:
    report(lake, kind, "all-0001", passed=True)
    by_gate(lake, kind, "all-0001")
    report(lake, kind, "all-0002", passed=False, against="all-0001")
    assert by_gate(lake, kind, "all-0002") == (False, ("all-0002 was measured.",))
    assert [entry.name for entry in history(lake, kind)] == ["all-0001"]
    assert {name: outcome.reasons for name, outcome in candidates(lake, kind).items()} == {
        "all-0002": ("all-0002 was measured.",)
    }
    now = promote_by_hand(lake, kind, "all-0002", by="ana", why="I looked at it")
    assert (now.gate, now.promoted_by, now.lineage) == ("refused", "ana", "vq-1")
    assert now.reasons == ("I looked at it", "The gate had said: all-0002 was measured.")
    assert now.path(lake) == ABOUT[kind].folder(lake, "all-0002") and candidates(lake, kind) == {}


def test_where_all_were_refused_the_error_says_where_the_reasons_are(lake: Lake) -> None:
    report(lake, "coach", "all-0001", passed=False)
    by_gate(lake, "coach", "all-0001")
    with pytest.raises(ValueError, match="`posellm release show --kind coach` says why"):
        required(lake, "coach")


def test_a_gate_promotes_once_and_not_what_a_person_took_back_nor_by_a_stale_report(lake: Lake) -> None:
    passed = GateOutcome(promote=True, reasons=("better",), against="all-0001")
    first = release(lake, "coach", "all-0001")
    assert ruling([first], "all-0002", passed) == (True, ("better",))
    second = release(lake, "coach", "all-0002", "all-0001")
    promoted, (reason,) = ruling([first, second], "all-0002", passed)
    assert not promoted and reason.startswith("It is in use already, since 20")
    back = roll_back(lake, "coach", by="ana")
    promoted, (reason,) = ruling([first, second, back], "all-0002", passed)
    assert not promoted and reason.startswith("It was rolled back on") and "by ana" in reason
    with pytest.raises(ValueError, match="all-0003 compares it with all-0001, but all-0002 is in use by now: make the"):
        ruling([first, second], "all-0003", passed)
    with pytest.raises(ValueError, match="all-0003 compares it with no model, but all-0001 is in use by now"):
        ruling([first], "all-0003", GateOutcome(promote=True, reasons=(), against=None))


def test_a_tokenizer_that_was_trained_is_promoted_with_its_reason_and_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def train(lineage: str) -> str:
        write_tokenizer_training(lake, lineage)
        return adopt_tokenizer(lake, reasons=["Trained on 9 clips."], by="run 1")

    assert lineage_in_use(lake) is None
    assert [train(lineage) for lineage in ("vq-1", "vq-2", "vq-2")] == ["vq-1", "vq-2", "vq-2"], "the last one again"
    assert [(one.name, one.reasons, one.gate) for one in history(lake, "tokenizer")] == [
        ("vq-1", ("Trained on 9 clips.",), "none"), ("vq-2", ("Trained on 9 clips.",), "none"),
    ]  # fmt: skip
    assert roll_back(lake, "tokenizer", by="ana").path(lake) == lake.tokenizer("vq-1")
    assert lineage_in_use(lake) == "vq-1" and not lake.tokenizer_in_training.exists()


def test_by_hand_a_tokenizer_is_promoted_that_is_finished_and_what_it_is_called(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_codebook(lake, "vq-1")
    assert promote_by_hand(lake, "tokenizer", "vq-1", by="ana").lineage == "vq-1"
    shutil.copytree(lake.tokenizer("vq-1"), lake.tokenizer("vq-2"))
    with pytest.raises(ValueError, match="holds the tokenizer vq-1, not vq-2"):
        promote_by_hand(lake, "tokenizer", "vq-2", by="ana")
    lake.tokenizer_in_training.mkdir()
    with pytest.raises(FileNotFoundError, match="in-training"):
        promote_by_hand(lake, "tokenizer", lake.tokenizer_in_training.name, by="ana")


@pytest.mark.parametrize("kind", GATED)
def test_the_commands_show_promote_and_roll_back_every_kind(lake: Lake, kind: ModelKind) -> None:
    def posellm(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["release", *arguments, "--kind", kind, "--lake", str(lake.root)])
        assert result.exit_code == 0, result.exception
        return result.output

    assert f"{ABOUT[kind].noun}: none has been promoted yet" in posellm("show")
    report(lake, kind, "all-0001", passed=True)
    by_gate(lake, kind, "all-0001")
    report(lake, kind, "all-0002", passed=False, against="all-0001")
    shown = json.loads(posellm("show", "--json"))
    assert list(shown) == [kind] and shown[kind]["in_use"]["name"] == "all-0001"
    assert shown[kind]["candidates"] == {"all-0002": ["all-0002 was measured."]}
    status = CliRunner().invoke(app, ["status", "--json", "--lake", str(lake.root)])
    assert json.loads(status.stdout)["in_use"][kind]["name"] == "all-0001"
    done = posellm("promote", "all-0002", "--by", "ana", "--why", "I looked at it")
    assert f"{ABOUT[kind].noun} all-0002: promoted on" in done and "by ana" in done and "gate: refused" in done
    assert f"{ABOUT[kind].noun} all-0001: rolled back to on" in posellm("rollback", "--by", "ben")
    told = json.loads(posellm("history", "--json"))
    assert [(one["name"], one["change"], one["promoted_by"]) for one in told] == [
        ("all-0001", "promotion", "gate, run 2"), ("all-0002", "promotion", "ana"), ("all-0001", "rollback", "ben"),
    ]  # fmt: skip


def test_a_damaged_history_is_named_and_nothing_is_promoted_over_it(lake: Lake) -> None:
    release(lake, "coach", "all-0001")
    lake.releases("coach").write_text(lake.releases("coach").read_text()[:-20])
    for use in (lambda: in_use(lake, "coach"), lambda: release(lake, "coach", "all-0002", "all-0001")):
        with pytest.raises(ValueError, match=r"coach\.json is damaged .*; put a copy back"):
            use()


@pytest.mark.parametrize("kind", KINDS)
def test_a_promotion_that_is_killed_leaves_the_old_release_or_the_new_one(lake: Lake, kind: ModelKind) -> None:
    release(lake, kind, "all-0001")
    command = [sys.executable, "-c", TURNS, str(lake.root), kind]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while len(json.loads(lake.releases(kind).read_bytes())["releases"]) < 5:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.002)
    time.sleep(random.Random(kind).uniform(0, 0.05))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    names = [entry.name for entry in history(lake, kind)]
    assert len(names) > 4 and names == [f"all-{number + 1:04d}" for number in range(len(names))]
    promote(lake, kind, "all-9999", folder=lake.raw, lineage="vq-1", reasons=[], by="", instead_of=names[-1])


@pytest.mark.parametrize("kind", ["language", "recogniser"])
def test_of_two_processes_that_promote_at_once_no_release_is_lost_and_each_replaces_the_one_before(
    lake: Lake, kind: ModelKind
) -> None:
    """A writer that had read an old history would drop the other's release, or stand twice in one place."""
    command = [sys.executable, "-c", RACE, str(lake.root), kind]
    writers = [subprocess.Popen([*command, str(prefix)], stderr=subprocess.PIPE) for prefix in (1000, 2000)]
    for writer in writers:
        _, errors = writer.communicate(timeout=HANG_S)
        assert writer.returncode == 0, errors
    names = [entry.name for entry in history(lake, kind)]
    assert sorted(names) == [f"all-{number:04d}" for prefix in (1000, 2000) for number in range(prefix, prefix + 20)]
    assert [name for name in names if name < "all-2000"] == [f"all-{number}" for number in range(1000, 1020)]
