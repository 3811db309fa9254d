"""One page over a copy of the demo, with a recogniser, for all tests of it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from posellm_assets.actions.members.classifier import LabelledMotion
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets_tests.app.serving import serving_app
from posellm_assets_tests.conftest import Demo, environment
from posellm_assets_tests.releases import put_recogniser_in_use
from posellm_assets_tests.ui.serving import browsing

KNOWN = ("squat", "jumping jack")


@dataclass(frozen=True)
class Served:
    """A page and the lake behind it."""

    address: str
    lake: Lake

    def a_clip(self, label: str) -> str:
        """The key of a clip of the lake with this label."""
        return next(key for key in self.lake.captioned_videos() if read_manifest(self.lake, key).label == label)


@pytest.fixture(scope="session")
def served(demo: Demo, demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(demo_folder / "untouched", folder, dirs_exist_ok=True)
    lake = Lake(folder / "lake")
    give_recogniser(lake)
    seen = environment(lake.root, folder / "home")
    with serving_app(["-m", "posellm_assets", "app"], seen, folder / "app.log") as address:
        yield Served(address, lake)


@pytest.fixture
def page() -> Iterator[Page]:
    with browsing() as page:
        yield page


@pytest.fixture(scope="session")
def squat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered squat that is not in the lake, with markup in its name."""
    folder = tmp_path_factory.mktemp("clips")
    clip = render_clip(next(one for one in plan(seed=1) if one.label == "squat"), folder)
    return Path(shutil.copy(clip, folder / "<img src=x onerror=document.title='hurt'>.mp4"))


def give_recogniser(lake: Lake) -> None:
    """Put a recogniser in use that knows two movements of the demo by their motion."""
    clips = [(key, str(read_manifest(lake, key).label)) for key in lake.captioned_videos()]
    examples = [LabelledMotion(Motion.read(lake.motion(key)), label, label) for key, label in clips if label in KNOWN]
    put_recogniser_in_use(lake, examples, KNOWN)
