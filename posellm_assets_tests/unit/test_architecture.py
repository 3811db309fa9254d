"""The rules of the house: data flows one way, only `defs` knows Dagster, and the code server loads no torch."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from posellm_assets_tests.architecture import HEAVY, LOADS_TORCH, ORDER, PACKAGE, TORCH, House

HOUSE = House.read(PACKAGE)
TIES = {("actions", "language"): 1, ("coaching", "language"): 2, ("coaching", "actions"): 1}
"""How many modules of rooms that stand beside each other may import one of the other's."""


def sources() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def test_a_module_imports_only_what_stands_in_its_room_or_below_it() -> None:
    assert HOUSE.up(ORDER) == []


def test_no_module_imports_itself_by_way_of_others_not_even_for_types() -> None:
    assert HOUSE.circles() == []


def test_every_room_of_the_order_is_there() -> None:
    assert {HOUSE.room(module, ORDER) for module in HOUSE.modules} == set(ORDER)


def test_subjects_beside_each_other_share_what_is_below_them_and_little_of_each_other() -> None:
    ties = {pair: count for pair, count in HOUSE.sideways().items() if "vision" not in pair and pair[0] != "evaluation"}
    assert {pair: count for pair, count in ties.items() if count > TIES.get(pair, 0)} == {}


def test_only_defs_and_definitions_know_dagster() -> None:
    knowing = {
        HOUSE.room(module, ORDER)
        for module, imported in HOUSE.modules.items()
        if any(one.name.split(".")[0] == "dagster" for one in imported)
    }
    assert knowing == {"defs", "definitions"}


def test_torch_is_imported_only_in_the_rooms_that_compute_with_it() -> None:
    elsewhere = {
        module: one.name
        for module, imported in HOUSE.modules.items()
        for one in imported
        if one.at_once and one.name.startswith(LOADS_TORCH) and HOUSE.room(module, ORDER) not in TORCH
    }
    assert elsewhere == {}


@pytest.mark.parametrize("entry", ["definitions", "cli", "commands.status"])
def test_where_nothing_is_computed_no_heavy_library_is_loaded(entry: str) -> None:
    assert {module for module in HOUSE.reaches(entry) if HOUSE.libraries(module) & set(HEAVY)} == set()
    assert loaded(entry, HEAVY) == []


@pytest.mark.parametrize("entry", ["commands.exporting", "commands.importing"])
def test_what_brings_in_and_takes_out_files_loads_no_models(entry: str) -> None:
    assert loaded(entry, ("torch", "mediapipe", "transformers")) == []


def loaded(entry: str, libraries: Sequence[str]) -> list[str]:
    """Which of some libraries a new process has loaded that imported one module."""
    code = f"import json, sys, posellm_assets.{entry}; print(json.dumps([*sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(json.loads(result.stdout))
    assert f"posellm_assets.{entry}" in modules
    return [name for name in libraries if name in modules]


def test_no_file_outgrows_a_reader() -> None:
    tests = Path(__file__).parents[1]
    everything = [*sources(), *tests.rglob("*.py"), *PACKAGE.parent.glob("bench/*.py")]
    long = {str(path): len(path.read_text().splitlines()) for path in everything}
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


def test_a_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_every_folder_with_code_is_a_package_so_that_a_wheel_holds_it_and_what_lies_beside_it() -> None:
    assert [path.parent for path in sources() if not (path.parent / "__init__.py").is_file()] == []


def test_nothing_unpickles_or_trusts_code_from_elsewhere() -> None:
    unpickle = {"pickle", "dill", "joblib"}
    imported = {module: {one.name.split(".")[0] for one in found} for module, found in HOUSE.modules.items()}
    assert [module for module, libraries in imported.items() if libraries & unpickle] == []
    for path in sources():
        source = path.read_text()
        assert "trust_remote_code=True" not in source, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A package of two rooms: `above` imports `below`, and `below` the types of `above`."""
    package = tmp_path / "package"
    modules = {
        "below.tools": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from package.above.work import Work\n",
        "below.loads": "import torch\n",
        "above.work": "from package.below import tools\ndef train():\n    from package.below.loads import Weights\n",
        "above.other": "from package.below.loads import Weights\n",
    }
    for name, source in modules.items():
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(source)
    return House.read(package)


def test_imports_for_types_count_for_order_and_circles_and_not_for_what_is_loaded(house: House) -> None:
    assert house.up(("below", "above")) == [("below.tools", "above.work")]
    assert house.circles() == [["above.work", "below.tools"]]
    assert house.sideways(frozenset({"above", "below"})) == {("above", "below"): 3, ("below", "above"): 1}
    assert "torch" in house.libraries("above.other") and "torch" not in house.libraries("above.work")


def test_a_module_that_no_room_was_named_for_is_an_error(house: House) -> None:
    with pytest.raises(ValueError, match=r"below stands in no room"):
        house.up(("above", "below.tools"))


def test_what_a_bench_imports_is_there() -> None:
    """Benches run for hours and rarely: one that cannot start is found here."""
    missing = []
    for bench in sorted((PACKAGE.parent / "bench").glob("*.py")):
        for node in ast.walk(ast.parse(bench.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
                module = PACKAGE.parent.joinpath(*str(node.module).split("."))
                names = {path.stem for path in module.glob("*")} | defined_in(module)
                missing += [f"{bench.name}: {node.module}.{one.name}" for one in node.names if one.name not in names]
    assert missing == []


def defined_in(module: Path) -> set[str]:
    """The names that a module defines or imports, from its source."""
    path = module / "__init__.py" if (module / "__init__.py").is_file() else module.with_suffix(".py")
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name for one in node.names}
    return names
