"""A real browser on the real UI, over the instance of a finished demo."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from posellm_assets.lake import Lake
from posellm_assets_tests.conftest import Demo
from posellm_assets_tests.ui.serving import browsing, needs_chromium, serving
from posellm_assets_tests.waits import HANG_S

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def ui(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(demo.environment, tmp_path_factory.mktemp("ui") / "ui.log") as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    with browsing() as page:
        yield page


def test_the_graph_shows_its_groups(ui: str, page: Page) -> None:
    page.goto(f"{ui}/asset-groups")
    for group in ("footage", "poses", "motion", "texts", "language", "evaluation"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()


def test_a_pose_contact_sheet_is_a_picture_in_the_ui(ui: str, page: Page, demo: Demo) -> None:
    key = _a_video(demo)
    page.goto(f"{ui}/assets/poses?view=partitions&partition={key}")
    row = page.get_by_role("row").filter(has_text="contact sheet")
    picture = row.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")


def test_the_evaluation_report_opens_with_a_click_and_shows_its_figures(ui: str, page: Page, demo: Demo) -> None:
    page.goto(f"{ui}/assets/evaluation_report?view=partitions&partition=all-0001")
    expect(page.get_by_text(str(demo.lake / "reports" / "all-0001" / "index.html"))).to_be_visible()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="/lake/reports/all-0001/index.html").click()
    report = opened.value
    expect(report.get_by_role("heading", level=1)).to_be_visible()
    expect(report.locator("canvas, svg").first).to_be_visible()
    assert report.evaluate("window.origin") == "null", "it cannot reach the UI"
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
    deadline = time.monotonic() + HANG_S
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
