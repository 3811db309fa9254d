"""The container files and the CI of GitHub: what they name is there. Nothing is built: that needs a Docker daemon."""

import importlib.util
import re
import shlex
from importlib.metadata import entry_points
from itertools import pairwise
from typing import Any

import yaml

from posellm_assets.commands.starting import start_folder
from posellm_assets_tests.conftest import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = [COMPOSE["services"][name] for name in ("daemon", "webserver")]


def instructions(name: str) -> list[list[str]]:
    """The words of each of the Dockerfile's instructions of that name."""
    whole = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    return [shlex.split(line)[1:] for line in whole.splitlines() if line.startswith(f"{name} ")]


def settings() -> dict[str, Any]:
    """The Dagster settings that the image has: both files, one behind the other."""
    (making,) = [words for words in instructions("RUN") if "cat" in words]
    parts = making[making.index("cat") + 1 : making.index(">")]
    return yaml.safe_load("\n".join((ROOT / part).read_text() for part in parts))  # type: ignore[no-any-return]


def test_what_the_image_is_made_of_is_there_and_let_in_by_dockerignore() -> None:
    sources = [source for words in instructions("COPY") for source in words[:-1]]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources) and set(sources) == let_in
    (install,) = [words for words in instructions("RUN") if words[0] == "pip"]
    pinned = (ROOT / "constraints.txt").read_text()
    assert install[install.index("--constraint") + 1] in sources and f"\n{install[-1]}==" in pinned


def test_what_the_containers_run_is_installed() -> None:
    scripts = {one.name for one in entry_points(group="console_scripts")}
    for service in OURS:
        program, *options = service["command"]
        modules = [after for flag, after in pairwise(options) if flag == "-m"]
        assert program == "python" or program in scripts
        assert modules and all(importlib.util.find_spec(module) for module in modules)
    assert instructions("CMD") and "posellm" in scripts


def test_both_containers_have_the_lake_the_settings_of_dagster_and_what_these_read_of_the_environment() -> None:
    (environment,) = instructions("ENV")
    said = dict(pair.split("=", 1) for pair in environment)
    home = said["DAGSTER_HOME"]
    assert any(f"> {home}/dagster.yaml" in " ".join(words) for words in instructions("RUN"))
    database = settings()["storage"]["postgres"]["postgres_db"]
    for service in OURS:
        assert {database["username"]["env"], database["password"]["env"]} <= set(service["environment"])
        (place,) = [volume.rsplit(":", 1)[1] for volume in service["volumes"]]
        assert said["POSELLM_LAKE"] == f"{place}/data_lake" and said["HOME"] == place
        assert settings()["compute_logs"]["config"]["base_dir"].startswith(f"{place}/")
    postgres = COMPOSE["services"][database["hostname"]]["environment"]
    assert OURS[0]["environment"][database["username"]["env"]] == postgres["POSTGRES_USER"]
    assert database["db_name"] == postgres["POSTGRES_DB"]


def test_nobody_else_reaches_the_ui_and_both_containers_see_the_processes_of_runs() -> None:
    webserver = COMPOSE["services"]["webserver"]
    assert webserver["command"][2] == "posellm_assets.defs.webserver", "the guarded one"
    assert all(port.startswith("127.0.0.1:") for port in webserver["ports"])
    assert webserver["pid"] == "service:daemon"
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == ["webserver"]


def test_the_instance_of_the_containers_restarts_runs_as_that_of_one_machine_does(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    start_folder(tmp_path)
    alone = yaml.safe_load((tmp_path / "dagster.yaml").read_text())
    assert alone.items() <= settings().items() and "storage" not in alone


def test_github_runs_what_every_machine_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    (ours,) = [step["run"] for step in job["steps"] if "run" in step]
    assert ours == ".ci/run" and (ROOT / ours).stat().st_mode & 0o100
