"""The rules of the house: data flows one way, only `defs` knows Dagster, and the code server loads no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import posellm_assets

PACKAGE = Path(posellm_assets.__file__).parent
ROOMS = ["footage", "poses", "motion", "texts", "language", "evaluation"]
SHARED = {"checkpoints", "endpoint", "hub", "lake", "pool", "problems", "program", "saving"}
MAY_IMPORT = {
    **{room: set(ROOMS[: number + 1]) for number, room in enumerate(ROOMS)},
    "actions": {"actions", *ROOMS},
    "coaching": {"coaching", "actions", *ROOMS},
    "demo": {"demo", "footage"},
}


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((PACKAGE / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_upstream_of_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | SHARED | {"__version__"}
    for path in modules(room):
        for name in imports(path):
            if name.startswith("posellm_assets."):
                used = name.split(".")[1]
                assert used in allowed, f"{path.relative_to(PACKAGE)} imports {name}"


def test_only_defs_and_the_demo_command_know_dagster() -> None:
    for path in modules("."):
        parts = path.relative_to(PACKAGE).parts
        if parts[0] in ("defs", "definitions.py") or parts == ("commands", "demo.py"):
            continue
        assert not [name for name in imports(path) if name.split(".")[0] == "dagster"], path


def test_no_file_outgrows_a_reader() -> None:
    tests = Path(__file__).parents[1]
    everything = [*modules("."), *tests.rglob("*.py"), *PACKAGE.parent.glob("bench/*.py")]
    long = {str(path): len(path.read_text().splitlines()) for path in everything}
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


@pytest.mark.parametrize("entry", ["definitions", "commands.status", "commands.exporting", "commands.importing"])
def test_where_nothing_is_computed_neither_torch_nor_mediapipe_is_loaded(entry: str) -> None:
    heavy = ("torch", "mediapipe", "transformers")
    code = f"import sys, posellm_assets.{entry}; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_nothing_unpickles_or_trusts_code_from_elsewhere() -> None:
    for path in modules("."):
        source = path.read_text()
        assert "trust_remote_code=True" not in source, path
        assert not [name for name in imports(path) if name.split(".")[0] in ("pickle", "dill", "joblib")], path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"
