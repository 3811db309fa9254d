"""`posellm app` and a browser, for tests. Whatever the page may lose while it is being laid out is done again."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, Request, TimeoutError, expect

from posellm_assets_tests.conftest import free_port
from posellm_assets_tests.waits import HANG_S

_AGAIN_MS = 20_000  # after that nothing was sent, and what was done is done again


@contextmanager
def serving_app(
    command: list[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Iterator[str]:
    """Run a command that serves the page at `--port`; yields its address once it answers."""
    port = free_port()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)], env=environment, stdout=stream, stderr=stream, cwd=cwd
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_served(address, process, log)
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(HANG_S)


def open_tab(page: Page, address: str, name: str) -> None:
    """Open the page at a tab, once it is live."""
    page.goto(address)
    tab = page.get_by_role("tab", name=name, exact=True)
    _until(page, lambda: tab.click(), lambda: tab.get_attribute("aria-selected") == "true")


def upload(page: Page, place: str, file: Path) -> None:
    """Give a file to the upload at a place, and again where the page was not ready and lost it; wait until it is in."""
    field = page.locator(f"{place} input[type=file]")
    sent = _sending(page, "/gradio_api/upload", lambda: field.set_input_files(file))
    answer = sent.response()
    assert answer is not None and answer.ok, answer and answer.text()
    expect(page.locator(place).locator(".file-preview, [data-testid=file]").first).to_be_visible()


def press(page: Page, button: str | Locator) -> None:
    """Press a button whose work is done by the server, and again where the page was not ready and lost it."""
    found = page.locator(button) if isinstance(button, str) else button
    _sending(page, "/gradio_api/queue/join", lambda: found.click())


def choose(page: Page, place: str, value: str) -> None:
    """Choose a value in a dropdown."""
    field = page.locator(f"{place} input")

    def choosing() -> None:
        field.click()
        field.fill(value)
        page.get_by_role("option", name=value, exact=True).first.click(timeout=_AGAIN_MS)

    _until(page, choosing, lambda: field.input_value() == value)


def offered(page: Page, place: str, *endings: str) -> None:
    """Wait until files with these endings can be taken away at a place."""
    for ending in endings:
        expect(page.locator(f"{place} a[href$='{ending}']").first).to_be_visible()


def _sending(page: Page, path: str, doing: Callable[[], None]) -> Request:
    deadline = time.monotonic() + HANG_S
    while True:
        try:
            with page.expect_request(lambda one: path in one.url and one.method == "POST", timeout=_AGAIN_MS) as sent:
                doing()
            return sent.value
        except TimeoutError:
            assert time.monotonic() < deadline, f"nothing was sent to {path}"


def _until(page: Page, doing: Callable[[], None], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while True:
        try:
            doing()
            if done():
                return
        except TimeoutError:
            pass
        assert time.monotonic() < deadline, "the page does not do what it is told"
        page.wait_for_timeout(500)


def _wait_until_served(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=60).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"the page did not come up:\n{log.read_text()[-3000:]}")
