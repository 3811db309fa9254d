"""`make ui` and a browser, for tests."""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from posellm_assets_tests.conftest import ROOT, free_port
from posellm_assets_tests.waits import HANG_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install Debian's chromium")


@contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """`make ui` on a free port; yields its address once it answers."""
    port = free_port()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["make", "ui", f"PORT={port}"],
            cwd=ROOT,
            env=environment,
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
                process.wait(60)
            except subprocess.TimeoutExpired:  # a run that is in progress keeps the code server
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(HANG_S)


@contextmanager
def browsing(*options: str) -> Iterator[Page]:
    """A page of a real browser, which is started with the `options` besides those of all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OFFLINE, *options])
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(300_000)
        expect.set_options(timeout=300_000)
        yield page
        browser.close()


def _wait_until_served(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=60).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise AssertionError(f"the UI did not come up:\n{log.read_text()[-3000:]}")
