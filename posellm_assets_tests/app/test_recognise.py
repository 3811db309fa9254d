"""The tab Recognise in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from posellm_assets_tests.app.conftest import Served
from posellm_assets_tests.app.serving import open_tab, press, upload
from posellm_assets_tests.ui.serving import needs_chromium

pytestmark = [needs_chromium, pytest.mark.app]


def test_a_video_is_recognised_on_a_time_line_that_plays(served: Served, page: Page, squat: Path) -> None:
    open_tab(page, served.address, "Recognise")
    upload(page, "#recognise-file", squat)
    page.get_by_label("clip", exact=True).check()
    press(page, "#recognise-go")
    expect(page.locator("#recognise-counts li").first).to_contain_text("squat")
    line = page.frame_locator("#recognise-line iframe")
    expect(line.locator(".bar-of").first).to_be_visible()
    line.locator(".bar-of").first.click()
    expect(line.locator("video")).to_have_js_property("readyState", 4)
    assert page.title() == "PoseLLM" and page.locator("img[src=x]").count() == 0
