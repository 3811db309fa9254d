"""Reads the imports of a package and prints how its rooms lean on each other; `unit/test_architecture.py` has rules.

    python -m posellm_assets_tests.architecture [FOLDER] [--order ROOM,ROOM,...]

FOLDER is a package, by default `posellm_assets`; the order goes from the ground up. An import is counted once for each
pair of modules, wherever it stands: at the top, in a function, or for types alone.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import posellm_assets

PACKAGE = Path(posellm_assets.__file__).parent
ORDER = (
    *("records", "files", "parquet", "npy", "yaml_files", "keys", "pool", "endpoint", "lake", "checksums", "problems"),
    *("waiting", "program", "cluster"),
    *("training", "reports", "footage", "poses", "motion", "demo", "texts"),
    *("generations", "language", "vision", "evaluation"),
    *("actions.dataset", "actions.moments", "actions.members", "actions"),
    *("coaching.labels", "coaching.model", "coaching.streaming", "coaching.live", "coaching"),
    *(
        "settings",
        "jobs",
        "next_generation",
        "lake_check",
        "defs",
        "definitions",
        "commands",
        "notebook",
        "app",
        "cli",
        "__main__",
    ),
)
"""From the ground up: a module imports only what stands in its own room or before it."""
SUBJECTS = ("language", "vision", "evaluation", "actions", "coaching")
"""Rooms beside each other, whatever their order: an import from one to another is a tie that holds both."""
TORCH = (
    *("training", "motion", "language", "vision", "evaluation"),
    *("actions.members", "coaching.model", "coaching.streaming"),
)
"""The only rooms in which a module may import torch by itself, or a library that does."""
LOADS_TORCH = ("torch", "transformers", "peft", "safetensors.torch", "unsloth")
HEAVY = ("torch", "transformers", "peft", "mediapipe", "matplotlib", "pandas", "scipy", "cv2", "ray")
"""What the code server and the command line start without: each costs seconds or memory in every process."""


@dataclass(frozen=True)
class Imported:
    """One import: of which module or library, in which line, and whether it is carried out when its module is."""

    name: str
    line: int
    at_once: bool


def imports(tree: ast.AST, at_once: bool = True) -> Iterator[Imported]:
    """All that a module imports, `from a import b` as `a.b`; what functions and type checkers import is not at once."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Imported(alias.name, node.lineno, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (Imported(f"{node.module}.{alias.name}", node.lineno, at_once) for alias in node.names)
        else:
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            )
            yield from imports(node, at_once and not later)


@dataclass(frozen=True)
class House:
    """The modules of a package, by their names without the package's, and what each imports."""

    modules: Mapping[str, tuple[Imported, ...]]
    package: str = "posellm_assets"

    @classmethod
    def read(cls, folder: Path) -> "House":
        """The package in a folder, with the rooms in it."""
        found = {}
        for path in sorted(folder.rglob("*.py")):
            name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix("__init__").rstrip(".")
            if name:
                found[name] = tuple(imports(ast.parse(path.read_text(encoding="utf-8"))))
        return cls(found, folder.name)

    def uses(self, module: str, at_once: bool = False) -> set[str]:
        """The modules of the package that a module imports; `at_once`: those that are loaded whenever it is."""
        own = [one for one in self.modules[module] if one.at_once or not at_once]
        return {used for one in own if (used := self._module(one.name))} - {module}

    def reaches(self, module: str) -> set[str]:
        """The modules that are loaded whenever this one is, itself and the rooms that hold them included."""
        reached: set[str] = set()
        ahead = [module]
        while ahead:
            one = ahead.pop()
            if one in self.modules and one not in reached:
                reached.add(one)
                ahead += [*self.uses(one, at_once=True), *([one.rpartition(".")[0]] if "." in one else [])]
        return reached

    def libraries(self, module: str) -> set[str]:
        """What is loaded from elsewhere whenever this module is, by the name of the library."""
        loaded = (one for reached in self.reaches(module) for one in self.modules[reached] if one.at_once)
        return {one.name.split(".")[0] for one in loaded} - {self.package}

    def circles(self) -> list[list[str]]:
        """Modules of which each imports, by way of others, itself; those that hang together in one list."""
        behind = {module: self._behind(module) for module in self.modules}
        circles = {
            tuple(sorted(other for other in behind[module] if module in behind[other]))
            for module in self.modules
            if module in behind[module]
        }
        return [list(circle) for circle in sorted(circles)]

    def arrows(self) -> Iterator[tuple[str, str]]:
        """Each pair of modules of which the first imports the second."""
        for module in self.modules:
            yield from ((module, used) for used in sorted(self.uses(module)))

    def up(self, order: Sequence[str]) -> list[tuple[str, str]]:
        """The arrows from a room to one that stands after it in the order; a module in no room is an error."""
        floors = {module: order.index(self.room(module, order)) for module in self.modules}
        return [(module, used) for module, used in self.arrows() if floors[used] > floors[module]]

    def room(self, module: str, order: Sequence[str]) -> str:
        """The innermost room of the order that a module stands in. Raises ValueError where there is none."""
        rooms = [room for room in order if f"{module}.".startswith(f"{room}.")]
        if not rooms:
            raise ValueError(f"{module} stands in no room of the order: {', '.join(order)}")
        return max(rooms, key=len)

    def sideways(self, subjects: Set[str] = frozenset(SUBJECTS)) -> Counter[tuple[str, str]]:
        """How many arrows run from one of the subjects to another."""
        rooms = ((module.split(".")[0], used.split(".")[0]) for module, used in self.arrows())
        return Counter(pair for pair in rooms if pair[0] != pair[1] and set(pair) <= subjects)

    def _module(self, name: str) -> str | None:
        """The module that `from a import b` reads: `a.b` where that is one, else `a`; None where it is another's."""
        if not name.startswith(f"{self.package}."):
            return None
        inner = name.removeprefix(f"{self.package}.")
        return inner if inner in self.modules else inner.rpartition(".")[0] or None

    def _behind(self, module: str) -> set[str]:
        reached: set[str] = set()
        ahead = [*self.uses(module)]
        while ahead:
            one = ahead.pop()
            if one not in reached:
                reached.add(one)
                ahead += self.uses(one)
        return reached


def main() -> None:
    """Print the figures of the package that the command line names."""
    parser = argparse.ArgumentParser(description="How the rooms of the package lean on each other.")
    parser.add_argument("folder", nargs="?", type=Path, default=PACKAGE)
    parser.add_argument("--order", default=",".join(ORDER), help="Rooms from the ground up, with commas between them")
    given = parser.parse_args()
    house, order = House.read(given.folder.resolve()), given.order.split(",")
    circles, up = house.circles(), house.up(order)
    print(f"{len(house.modules)} modules, {len(list(house.arrows()))} imports between them")
    print(f"{len(circles)} circles", *(f"  {' <-> '.join(circle)}" for circle in circles), sep="\n")
    print(f"{len(up)} imports up", *(f"  {module} -> {used}" for module, used in up), sep="\n")
    print("imports between subjects that stand beside each other")
    for (room, used), count in sorted(house.sideways().items()):
        print(f"  {room} -> {used}: {count}")
    torch = [module for module in house.modules if "torch" in house.libraries(module)]
    heavy = set(HEAVY) & house.libraries("definitions")
    print(f"{len(torch)} modules load torch when they are imported")
    print(f"definitions loads {len(house.reaches('definitions'))} modules and of heavy libraries {sorted(heavy)}")


if __name__ == "__main__":
    main()
