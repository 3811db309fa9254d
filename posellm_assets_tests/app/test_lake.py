"""The tab Lake in a real browser, over a copy of the demo: what is there, and a clip added, renamed and removed."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from posellm_assets_tests.app.conftest import Served
from posellm_assets_tests.app.serving import open_tab, press, upload
from posellm_assets_tests.ui.serving import needs_chromium

pytestmark = [needs_chromium, pytest.mark.app]

HURT = "<img src=x onerror=document.title='hurt'>"


def test_a_clip_is_added_named_anew_and_removed_and_markup_is_only_text(
    served: Served, page: Page, squat: Path
) -> None:
    lake = served.lake
    open_tab(page, served.address, "Lake")
    expect(page.locator("#lake-state")).to_contain_text("language in use: all-0001")
    page.get_by_role("button", name="Add a clip").click()
    upload(page, "#lake-file", squat)
    page.locator("#lake-sport input, #lake-sport textarea").fill("gym")
    page.locator("#lake-participant input, #lake-participant textarea").fill(HURT)
    press(page, "#lake-add")
    expect(page.locator("#lake-done")).to_contain_text("added")
    assert len(list((lake.raw / "gym").glob("*.mp4"))) == 1
    expect(page.locator("#lake-state")).to_contain_text("waits to be taken in")
    key = served.a_clip("serve")
    page.get_by_role("button", name="Change a clip").click()
    page.locator("#lake-key input, #lake-key textarea").fill(key)
    page.locator("#lake-new-label input, #lake-new-label textarea").fill(HURT)
    press(page, "#lake-relabel")
    expect(page.locator("#lake-done")).to_contain_text("relabelled")
    press(page, "#lake-remove")
    expect(page.locator("#lake-done")).to_contain_text(f"removed {key}")
    assert list(lake.removed.rglob("*.mp4"))
    assert page.title() == "PoseLLM" and page.locator("img[src=x]").count() == 0
