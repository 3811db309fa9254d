"""Every command of README and the pages behind it, run as it is written there, over a finished demo."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posellm_assets.commands.settings_page import settings_page
from posellm_assets.definitions import defs
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets_tests.architecture import ORDER
from posellm_assets_tests.conftest import ROOT, Demo
from posellm_assets_tests.waits import HANG_S

RUN_ELSEWHERE = {"make test": "this is it", "make ui": "test_ui.py starts it"}
PAGES = ["README.md", *(f"docs/{name}.md" for name in ("footage", "jobs", "recognition", "coaching", "motion_capture"))]
PAGES += ["docs/training.md", "docs/generations.md", "docs/python.md", "docs/design.md"]
PAGES += ["docs/troubleshooting.md", "docs/contributing.md", "docs/app.md", "docs/cluster.md"]


def blocks(language: str) -> list[str]:
    """The blocks of a language on all pages, in order."""
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The lines of all shell blocks, in order, and each once."""
    return list(dict.fromkeys(line for block in blocks("sh") for line in block.splitlines() if line))


@pytest.fixture
def project(demo: Demo, tmp_path: Path) -> Path:
    """The project as a user has it after `make demo`, with clips of their own at hand."""
    for entry in ROOT.iterdir():
        if entry.name not in ("data_lake", ".dagster", ".git"):
            (tmp_path / entry.name).symlink_to(entry)
    # Copies, so that the backfill that the README launches does not queue before the UI tests' own.
    shutil.copytree(demo.lake, tmp_path / "data_lake")
    shutil.copytree(demo.home, tmp_path / ".dagster")
    (tmp_path / "clips" / "squat").mkdir(parents=True)
    for number, place in enumerate(("clip.mp4", "clips/squat/a.mp4")):
        render_clip(plan(seed=1)[number], tmp_path / "rendered").rename(tmp_path / place)
    return tmp_path


def test_every_command_of_the_pages_works_as_it_is_written(project: Path) -> None:
    lines = commands()
    assert {"make demo", *RUN_ELSEWHERE} <= set(lines), "the README shows the commands that set everything up"
    python = [f".venv/bin/python - <<'END'\n{block}END" for block in blocks("python")]
    script = "\n".join(["set -euxo pipefail", *(line for line in lines if line not in RUN_ELSEWHERE), *python])
    environment = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "POSELLM_LAKE")}
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    for made in ("squat.mp4", "squat.json"):
        assert (project / made).stat().st_size > 1000
    assert "knee" in result.stdout, "describe says what moves"
    for added in ("tennis/clip.mp4", "gym/squat/a.mp4"):
        assert (project / "data_lake" / "raw" / added).is_file()
    assert "ingest_footage     done" in result.stdout, "update takes in what was added"


@pytest.fixture
def docs(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `docs` beside the lake of the demo, which only reads it; plots are drawn and not shown."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "data_lake").symlink_to(demo.lake)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "docs"


def test_the_examples_of_the_pages_give_what_stands_below_them(docs: Path) -> None:
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), {}, "docs/python.md", None, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(examples, out=said.append).failed == 0, "".join(said)


def test_the_cells_of_the_notebook_run_in_order(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(docs)
    cells = json.loads((ROOT / "docs/notebook.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in code), "what a notebook shows is not kept with it"
    names: dict[str, object] = {}
    for cell in code:
        exec("".join(cell["source"]), names)


def test_every_page_is_short_enough_and_every_link_leads_somewhere() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8192
    for page in [*PAGES, "docs/settings.md", "docs/commands.md", "docs/log.md", "docs/cluster.md", "docs/app.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_design_names_rooms_and_assets_that_there_are() -> None:
    page = (ROOT / "docs/design.md").read_text()
    rows = [row.split(" | ")[0] for row in re.findall(r"^\| (`.*) \|$", page, re.MULTILINE)]
    assets = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 40 and named <= {*ORDER, *assets}


def test_the_page_of_settings_is_what_the_command_prints() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page() + "\n", (
        "write it anew: .venv/bin/posellm settings > docs/settings.md"
    )


def test_the_page_of_commands_is_what_typer_makes_of_them(tmp_path: Path) -> None:
    make = ["-m", "typer", "posellm_assets.cli", "utils", "docs", "--name", "posellm", "--output"]
    made = tmp_path / "commands.md"
    subprocess.run([sys.executable, *make, str(made)], cwd=ROOT, capture_output=True, check=True, timeout=HANG_S)
    assert (ROOT / "docs/commands.md").read_text() == made.read_text(), (
        f"write it anew: .venv/bin/python {' '.join(make)} docs/commands.md"
    )
