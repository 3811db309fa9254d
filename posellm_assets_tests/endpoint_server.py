"""An OpenAI-compatible endpoint on the loopback that answers as it is told to: well, badly, late or not at all."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@dataclass
class Served:
    """A running endpoint: its base URL, every request that came, and what it answers next."""

    url: str
    replies: list[Callable[[], Reply]]
    """One for each request to come; the last one for all that follow."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


def says(content: Any, *, usage: dict[str, Any] | None = None, finish_reason: str = "stop") -> Callable[[], Reply]:
    """A chat completion whose message is `content`, as JSON where it is no text."""
    text = content if isinstance(content, str) else json.dumps(content)
    answer = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}]}
    return lambda: (200, {}, json.dumps({**answer, "usage": usage or {}}).encode())


def refuses(status: int, said: str = "no", **headers: str) -> Callable[[], Reply]:
    """An error with this status; `Retry_After="3"` is a header."""
    return lambda: (status, {name.replace("_", "-"): value for name, value in headers.items()}, said.encode())


@contextmanager
def endpoint(*replies: Callable[[], Reply]) -> Iterator[Served]:
    """A server for the duration of a test."""
    served = Served("", list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append(body)
            served.headers.append(dict(self.headers))
            reply = served.replies.pop(0) if len(served.replies) > 1 else served.replies[0]
            status, headers, content = reply()
            if served.closing.is_set():
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hangs(served: Served) -> Callable[[], Reply]:
    """Says nothing until the test is over."""

    def reply() -> Reply:
        served.closing.wait()
        return (500, {}, b"")

    return reply
