"""What many tests share: the demo, run once and for real, and a free port."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from posellm_assets.files import lock_at, write_bytes
from posellm_assets.training.store import CheckpointStore
from posellm_assets_tests.hub_server import Hub, serving
from posellm_assets_tests.waits import HANG_S

ROOT = Path(__file__).parents[1]

# Must be found in nothing that a run writes.
HF_TOKEN = "hf_secret_of_the_tests"

# The hub of the tests (`hub_server.py`) has no Xet. The client reads this when it is first imported.
os.environ["HF_HUB_DISABLE_XET"] = "1"


class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Shares the tests between processes folder by folder, all that look at the demo to one.

    The files of `assets` share nothing, and are long.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        folder, _, file = path.rpartition("/")
        return _OF_DEMO.get(file, path if folder.endswith("/assets") else folder)


_OF_DEMO = {
    "test_demo.py": "demo",
    "test_readme.py": "demo",
    "test_ui.py": "demo",
    "test_new_sport.py": "new sport",  # begins with a copy: the other process need not be idle meanwhile
}


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job has Ctrl-C ignored, and so would all that the tests start and stop with it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The first process, which runs the demo, has the right of way: how long the tests take hangs on it.

    Not before all have collected, for which they wait; and no more than a little, or a busy machine starves the others.
    """
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        os.nice(5)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo first, since it takes longest; what begins with a copy of it when it is about to be finished."""
    order = {"demo": 0, "new sport": 2}
    items.sort(key=lambda item: order.get(_OF_DEMO.get(item.path.name, ""), 3 if "unit" in item.path.parts else 1))


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that the environment points to, and a client that does not wait long."""
    monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(CheckpointStore, "waits_s", (0.01, 0.01))
    with serving(HF_TOKEN) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@dataclass(frozen=True)
class Demo:
    """A finished `make demo`: where it wrote and what it printed."""

    lake: Path
    home: Path
    output: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which commands see this demo."""
        return environment(self.lake, self.home)


def environment(lake: Path, home: Path) -> dict[str, str]:
    """An environment whose lake and Dagster instance are a test's own."""
    own = {"POSELLM_LAKE": str(lake), "DAGSTER_HOME": str(home), "COLUMNS": "120", "HF_TOKEN": HF_TOKEN}
    return {**os.environ, **own}


def new_home(home: Path) -> Path:
    """An empty Dagster home with the settings that `posellm init` writes."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "posellm_assets/commands/starter/dagster.yaml", home)
    return home


def make_demo(lake: Path, home: Path) -> Demo:
    """Run `make demo` as a user would."""
    result = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env=environment(lake, home),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return Demo(lake, home, result.stdout)


@pytest.fixture(scope="session")
def demo(demo_folder: Path) -> Demo:
    """The whole main path, once for all tests of all processes that look at its results."""
    return _demo(demo_folder)


@pytest.fixture
def own_demo(demo_folder: Path, tmp_path: Path) -> Demo:
    """A copy of the demo as it was when it had finished, for a test that changes it."""
    output = _demo(demo_folder).output
    shutil.copytree(demo_folder / "untouched", tmp_path, dirs_exist_ok=True)
    return Demo(tmp_path / "lake", tmp_path / "home", output)


@pytest.fixture(scope="session")
def shared_tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that all processes of this run of the tests see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def demo_folder(shared_tmp_path: Path) -> Path:
    """Where the demo is made: in the folder POSELLM_TEST_DEMO where that is set, for the next run of tests too."""
    folder = Path(os.environ.get("POSELLM_TEST_DEMO", shared_tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _demo(folder: Path) -> Demo:
    lake, home, output = folder / "demo/lake", folder / "demo/home", folder / "demo.txt"
    with lock_at(folder / "demo.lock"):
        if not output.exists():
            new_home(home)
            made = make_demo(lake, home)
            shutil.copytree(folder / "demo", folder / "untouched")
            write_bytes(output, made.output.encode())
    return Demo(lake, home, output.read_text())


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def real_clips() -> Iterator[Path]:
    """The folder of real clips that are measured against; they are not in the repository."""
    folder = Path(os.environ.get("POSELLM_TEST_DATA", ROOT.parent / "shared" / "data")) / "videos"
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}; set POSELLM_TEST_DATA")
    yield folder
