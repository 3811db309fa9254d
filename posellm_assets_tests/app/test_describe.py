"""The tab Describe in a real browser: a clip of a visitor, one of the lake, and what is no clip."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from posellm_assets_tests.app.conftest import Served
from posellm_assets_tests.app.serving import choose, offered, open_tab, press, upload
from posellm_assets_tests.ui.serving import needs_chromium

pytestmark = [needs_chromium, pytest.mark.app]


def test_a_clip_is_described_beside_its_skeleton_and_its_name_does_no_harm(
    served: Served, page: Page, squat: Path
) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda one: elsewhere.append(one.url))
    open_tab(page, served.address, "Describe")
    upload(page, "#describe-file", squat)
    started_s = time.monotonic()
    press(page, "#describe-go")
    expect(page.locator("#describe-said li").first).to_contain_text("squat")
    print(f"described in {time.monotonic() - started_s:.1f} s")
    expect(page.locator("#describe-said li").nth(2)).to_be_visible()
    offered(page, "#describe-files", ".mp4", ".angles.csv", ".motion.parquet", ".bvh")
    video = page.locator("video").first
    expect(video).to_be_visible()
    page.wait_for_function("document.querySelector('video').videoWidth > 300")
    assert page.title() == "PoseLLM" and page.locator("img[src=x]").count() == 0
    assert all(url.startswith((served.address, "data:", "blob:")) for url in elsewhere), "the page needs no network"


def test_a_clip_of_the_lake_is_described_in_another_language(served: Served, page: Page) -> None:
    open_tab(page, served.address, "Describe")
    choose(page, "#describe-clip", served.a_clip("squat"))
    page.get_by_label("español").check()
    press(page, "#describe-go")
    expect(page.locator("#describe-said li").first).to_contain_text("dice de")


def test_what_is_no_footage_is_refused_with_the_reason(served: Served, page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"<script>document.title='hurt'</script>" * 100)
    open_tab(page, served.address, "Describe")
    upload(page, "#describe-file", broken)
    press(page, "#describe-go")
    expect(page.get_by_test_id("toast-body").first).to_contain_text("clip.mp4")
    assert page.title() == "PoseLLM"
