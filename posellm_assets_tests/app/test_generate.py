"""The tab Generate in a real browser: from a sentence, from what nobody taught, and from a clip."""

import pytest
from playwright.sync_api import Page, expect

from posellm_assets_tests.app.conftest import Served
from posellm_assets_tests.app.serving import choose, offered, open_tab, press
from posellm_assets_tests.ui.serving import needs_chromium

pytestmark = [needs_chromium, pytest.mark.app]


def ask(page: Page, text: str) -> None:
    page.get_by_label("A sentence", exact=True).fill(text)
    press(page, "#generate-go")


def test_a_sentence_becomes_a_motion_beside_a_real_one(served: Served, page: Page) -> None:
    open_tab(page, served.address, "Generate")
    ask(page, "a person does a squat")
    expect(page.locator("#generate-said")).to_contain_text("which the evaluator takes for")
    offered(page, "#generate-files", ".mp4", ".bvh", ".json")
    page.wait_for_function("[...document.querySelectorAll('video')].some(one => one.videoWidth === 640)")


def test_what_nobody_taught_is_warned_of_and_markup_is_only_text(served: Served, page: Page) -> None:
    open_tab(page, served.address, "Generate")
    ask(page, "zxqv <img src=x onerror=document.title='hurt'>")
    expect(page.locator("#generate-said .warned")).to_contain_text("nothing that this model learned is like")
    assert page.title() == "PoseLLM" and page.locator("img[src=x]").count() == 0


def test_what_the_model_never_learned_to_do_with_a_clip_is_said(served: Served, page: Page) -> None:
    key = served.a_clip("squat")
    open_tab(page, served.address, "Generate")
    page.get_by_label("go on from a clip").check()
    choose(page, "#generate-first", key)
    press(page, "#generate-go")
    expect(page.get_by_test_id("toast-body").first).to_contain_text("has not learned the task continuation")
