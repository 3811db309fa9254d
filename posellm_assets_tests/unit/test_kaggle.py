"""Downloads from Kaggle: credentials, and archives that want to write elsewhere."""

import base64
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from posellm_assets.commands.kaggle import KaggleError, download


def archive(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        for name, of_file in files.items():
            written.writestr(name, of_file)
    return content.getvalue()


def link() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        member = zipfile.ZipInfo("a.jpg")
        member.external_attr = 0o120777 << 16
        written.writestr(member, "/etc/passwd")
    return content.getvalue()


@contextmanager
def kaggle(status: int, content: bytes, elsewhere: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server that answers everybody so, and what it was asked, with whose credentials."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(status)
            if elsewhere:
                self.send_header("Location", elsewhere)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "ana")
    monkeypatch.setenv("KAGGLE_KEY", "secret")


def test_without_credentials_nothing_is_asked_and_the_message_says_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    with pytest.raises(KaggleError, match="KAGGLE_USERNAME and KAGGLE_KEY"):
        download("ana/squats", tmp_path / "out", "http://127.0.0.1:9")


def test_files_come_into_a_new_folder_whole(tmp_path: Path, credentials: None) -> None:
    with kaggle(200, archive(**{"train/a.jpg": b"1", "b.jpg": b"2"})) as (api, asked):
        download("ana/squats", tmp_path / "out", api)
    expected = base64.b64encode(b"ana:secret").decode()
    assert asked == [f"/api/v1/datasets/download/ana/squats Basic {expected}"]
    assert (tmp_path / "out" / "train" / "a.jpg").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_credentials_do_not_go_to_the_storage_that_the_download_is_forwarded_to(
    tmp_path: Path, credentials: None
) -> None:
    with kaggle(200, archive(**{"b.jpg": b"2"})) as (storage, asked), kaggle(302, b"", f"{storage}/file") as (api, _):
        download("ana/squats", tmp_path / "out", api)
    assert asked == ["/api/v1/file None"]
    assert (tmp_path / "out" / "b.jpg").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("status", "content", "why"),
    [
        (200, archive(**{"ok.jpg": b"1", "../evil.jpg": b"2"}), "outside"),
        (200, archive(**{"/tmp/evil.jpg": b"2"}), "outside"),
        (200, archive(**{"..\\evil.jpg": b"2"}), "outside"),
        (200, link(), "a link"),
        (200, b"<html>", "no zip"),
        (403, b"", "accept its terms"),
        (404, b"", "name right"),
    ],
)
def test_what_cannot_be_used_leaves_nothing_behind(
    status: int, content: bytes, why: str, tmp_path: Path, credentials: None
) -> None:
    with kaggle(status, content) as (api, _), pytest.raises(KaggleError, match=why) as raised:
        download("ana/squats", tmp_path / "deep" / "out", api)
    assert "secret" not in str(raised.value)
    assert list(tmp_path.rglob("*.jpg")) == [] and not (tmp_path / "deep" / "out").exists()


def test_a_handle_is_checked_before_it_becomes_an_address(tmp_path: Path, credentials: None) -> None:
    with pytest.raises(KaggleError, match="owner/name"):
        download("../models/x", tmp_path / "out", "http://127.0.0.1:9")
