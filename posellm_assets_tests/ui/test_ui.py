"""A real browser on the real UI, over the instance of a finished demo."""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from posellm_assets.lake import Lake
from posellm_assets_tests.conftest import ROOT, Demo, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install Debian's chromium")


@pytest.fixture(scope="module")
def ui(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`make ui` on a free port; yields its address once it answers."""
    log = tmp_path_factory.mktemp("ui") / "ui.log"
    port = free_port()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["make", "ui", f"PORT={port}"],
            cwd=ROOT,
            env=demo.environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_served(address, process, log)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # a run that is in progress keeps the code server
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_the_graph_shows_its_groups(ui: str, page: Page) -> None:
    page.goto(f"{ui}/asset-groups")
    for group in ("footage", "poses", "motion", "texts", "language", "evaluation"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)


def test_a_pose_contact_sheet_is_a_picture_in_the_ui(ui: str, page: Page, demo: Demo) -> None:
    key = _a_video(demo)
    page.goto(f"{ui}/assets/poses?view=partitions&partition={key}")
    row = page.get_by_role("row").filter(has_text="contact sheet")
    row.get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")


def test_the_evaluation_report_is_there_with_its_figures(ui: str, page: Page, demo: Demo) -> None:
    page.goto(f"{ui}/assets/evaluation_report?view=partitions&partition=all-0001")
    expect(page.get_by_text(str(demo.lake / "reports" / "all-0001" / "index.html"))).to_be_visible()
    page.get_by_role("row").filter(has_text="summary").get_by_text("[Show Markdown]").click()
    expect(page.get_by_role("dialog").get_by_role("table").first).to_contain_text("%")


def test_a_sport_is_backfilled_by_its_prefix_with_a_few_clicks(ui: str, page: Page, demo: Demo) -> None:
    """Also proves materializing by clicking: football's captions are made anew."""
    before = _last_captions(demo)
    page.goto(f"{ui}/assets/captions")
    page.get_by_text("Materialize", exact=False).first.click()
    page.get_by_text("Select a partition or create one").click()
    page.keyboard.type("football.")
    page.get_by_text("Select all", exact=False).click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("10 partitions").first).to_be_visible()
    page.get_by_text("Launch", exact=False).last.click()
    deadline = time.monotonic() + 180
    while len(changed := {key for key, at in _last_captions(demo).items() if at != before[key]}) < 10:
        assert time.monotonic() < deadline, f"only {changed} were made anew"
        time.sleep(2)
    assert {key.split(".")[0] for key in changed} == {"football"}


def _a_video(demo: Demo) -> str:
    return Lake(demo.lake).registered_videos()[0]


def _last_captions(demo: Demo) -> dict[str, int]:
    with dg.DagsterInstance.from_config(str(demo.home)) as instance:
        return dict(
            instance.get_latest_storage_id_by_partition(
                dg.AssetKey("captions"), dg.DagsterEventType.ASSET_MATERIALIZATION
            )
        )


def _wait_until_served(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise AssertionError(f"the UI did not come up:\n{log.read_text()[-3000:]}")
