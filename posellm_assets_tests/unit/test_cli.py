"""The command line as a script sees it: exit codes, JSON, and sentences instead of tracebacks."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from posellm_assets.cli import main
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip


def posellm(*arguments: str, lake: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("posellm")), *arguments],
        env={**os.environ, "POSELLM_LAKE": str(lake), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clip_is_added_and_shown_as_waiting(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "-my serve 🎾.mp4", 1)
    added = posellm("add", "--sport", "tennis", "--label", "serve", "--", str(clip), lake=tmp_path / "lake")
    assert added.returncode == 0, added.stderr
    status = posellm("status", "--json", lake=tmp_path / "lake")
    assert json.loads(status.stdout)["waiting"] == ["tennis/-my serve 🎾.mp4"]


def test_what_a_user_did_wrong_is_one_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, because each of their own would load its libraries anew."""
    monkeypatch.setenv("POSELLM_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("HF_TOKEN", "")
    for arguments, sentence in (
        (["add", "--sport", "tennis", str(tmp_path / "missing.mp4")], "is not a file"),
        (["status"], "there is no lake in"),
        (["describe", str(tmp_path / "missing.mp4")], "missing.mp4"),
        (["generate", "a squat", "--out", "x.avi"], "written as .bvh, .npy, .mp4, .gif or .json"),
        (["generate", "a squat", "--out", "x.mp4"], "no language model is in use"),
        (
            ["export", "motion", "gym.squat.0123abcd", "--to", "mp4", "--out", "x.bvh"],
            "--to mp4 and --out x.bvh disagree",
        ),
        (["export", "model", "--out", str(tmp_path / "m"), "--push", "me/m"], "HF_TOKEN is not set"),
    ):
        monkeypatch.setattr(sys, "argv", ["posellm", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 1, (arguments, said.out)
        assert sentence in said.err
        assert "Traceback" not in said.err


@pytest.mark.parametrize("module", ["posellm_assets", "posellm_assets.cli"])
def test_the_command_line_runs_as_a_module_too(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "status", "--json", "--lake", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == json.loads(posellm("status", "--json", lake=tmp_path).stdout)


def test_a_sidecar_with_markup_is_named_as_it_stands_and_status_lives_on(tmp_path: Path) -> None:
    """`markup/x.mp4.json` of the cases, and a file whose name is a command to terminals."""
    folder = tmp_path / "lake" / "raw" / "tennis"
    clip = write_clip(folder / "x.mp4", 1)
    clip.with_name("x.mp4.json").write_text('{"[/]": 1}')
    (folder / "[h264]\x1b[2J.mp4").write_bytes(clip.read_bytes()[:200])
    for file in ("x.mp4", "[h264]\x1b[2J.mp4"):
        assert register(Lake(tmp_path / "lake"), f"tennis/{file}").status == "quarantined"
    for _ in range(2):
        status = posellm("status", lake=tmp_path / "lake", COLUMNS="200")
        assert status.returncode == 0, status.stderr
        assert "[/]" in status.stdout and "[h264]\\x1b[2J.mp4" in status.stdout and "\x1b" not in status.stdout


def test_an_empty_folder_becomes_one_to_work_in_and_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "posellm.yaml").write_text("seed: 7\n")
    command = [str(Path(sys.executable).with_name("posellm"))]
    environment = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "POSELLM_LAKE")}
    for arguments, wanted in ((["update"], 1), (["init"], 0), (["init"], 0)):
        result = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == wanted, result.stderr
        assert wanted == 0 or "posellm" in result.stderr
    assert (tmp_path / "posellm.yaml").read_text() == "seed: 7\n"
    assert "run_retries" in (tmp_path / ".dagster" / "dagster.yaml").read_text()


def test_misuse_is_exit_code_2(tmp_path: Path) -> None:
    assert posellm("no-such-command", lake=tmp_path).returncode == 2


def test_the_doctor_names_a_setting_a_glossary_and_a_database_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "lake" / "glossary").mkdir(parents=True)
    (tmp_path / "lake" / "glossary" / "golf.yaml").write_text("folders: [golf]\nsprot: {}\n")
    (tmp_path / "posellm.yaml").write_text("poses:\n  max_peple: 2\n")
    for name in ("runs", "schedules", "index"):
        (tmp_path / "home" / name).mkdir(parents=True)
        with closing(sqlite3.connect(tmp_path / "home" / name / f"{name}.db")) as database:
            database.execute("CREATE TABLE runs (id TEXT)")
            database.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,)] * 50)
            database.commit()
    (tmp_path / "home" / "dagster.yaml").write_text("run_monitoring: {enabled: true}\n")
    damaged = tmp_path / "home" / "runs" / "runs.db"
    damaged.write_bytes(damaged.read_bytes()[:4096] + b"\xff" * 8192 + damaged.read_bytes()[12288:])
    result = posellm("doctor", "--json", lake=tmp_path / "lake", DAGSTER_HOME=str(tmp_path / "home"))
    assert result.returncode == 1, result.stderr
    wrong = {one["name"]: one["found"] for one in json.loads(result.stdout) if not one["ok"]}
    assert "posellm.yaml line 2: poses.max_peple is not known; did you mean max_people?" in wrong["settings"]
    assert "golf.yaml line 2: sprot is not known; did you mean sport?" in wrong["glossary"]
    assert "dagster.yaml: " in wrong["Dagster settings"] and wrong["Dagster settings"].endswith("without run_retries")
    assert f"{damaged} is damaged" in wrong["Dagster database"], "and the other two are not named"


def test_the_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    result = posellm("doctor", "--json", lake=tmp_path / "lake", POSELLM_CACHE=str(tmp_path / "empty"))
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert result.returncode == 1
    assert not findings["pose model"]["ok"]
    assert findings["pose model"]["remedy"] == "posellm models --fetch"
    assert findings["lake"]["ok"]
    assert findings["checkpoints"]["found"].endswith("lake/hub/stage1/all-0001")
