"""The tab Coach in a real browser, with a rendered athlete before its camera, and over a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Page, expect

from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.demo.footage import FPS, SIZE_PX, plan, render_clip, rendered_athlete, rendered_frames, with_faults
from posellm_assets_tests.app.conftest import Served
from posellm_assets_tests.app.serving import open_tab, press, upload
from posellm_assets_tests.ui.serving import browsing, needs_chromium

pytestmark = [needs_chromium, pytest.mark.app]

SHALLOW = with_faults(
    next(replace(one, camera=replace(one.camera, azimuth_deg=10.0)) for one in plan() if one.label == "squat"),
    [DemoRepetition("shallow", strength=1.0)] * 4,
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shallow squats as the file of a fake camera (YUV4MPEG2)."""
    path = tmp_path_factory.mktemp("camera") / "squats.y4m"
    with path.open("wb") as stream:
        stream.write(f"YUV4MPEG2 W{SIZE_PX} H{SIZE_PX} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for rgb in rendered_frames(SHALLOW, rendered_athlete(SHALLOW)):
            stream.write(b"FRAME\n" + cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture
def filmed(film: Path) -> Iterator[Page]:
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with browsing(*camera, f"--use-file-for-fake-video-capture={film}") as page:
        yield page


def test_the_athlete_before_the_camera_is_followed_and_the_session_ends_with_a_report(
    served: Served, filmed: Page
) -> None:
    open_tab(filmed, served.address, "Coach")
    filmed.locator("#coach-exercise").select_option("squat")
    filmed.locator("#coach-start").click()
    filmed.wait_for_function("Number(document.querySelector('#coach').dataset.frames) >= 20")
    drawn = "document.querySelector('#coach-canvas').getContext('2d').getImageData(0, 0, 999, 999).data.some(Boolean)"
    filmed.wait_for_function(drawn)
    print(f"a picture takes {filmed.locator('#coach').get_attribute('data-latency-ms')} ms, to the browser and back")
    filmed.locator("#coach-stop").click()
    expect(filmed.frame_locator("#coach-report iframe").locator("body")).to_contain_text("frames")
    expect(filmed.locator("#coach-start")).to_be_visible()


def test_a_file_is_coached_with_messages_and_a_report(served: Served, page: Page, tmp_path: Path) -> None:
    open_tab(page, served.address, "Coach")
    page.get_by_role("tab", name="File", exact=True).click()
    upload(page, "#coach-file", render_clip(SHALLOW, tmp_path))
    press(page, "#coach-go")
    expect(page.locator("#coach-said li").first).to_contain_text("s: ")
    expect(page.frame_locator("#coach-report-of-file iframe").locator("body")).to_contain_text("squat")
    offered_at = page.get_by_role("tabpanel").filter(has=page.locator("#coach-go"))
    expect(offered_at.locator("a[href$='coached.mp4']").first).to_be_visible()
