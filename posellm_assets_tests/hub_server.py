"""A model hub on the loopback, as far as the unmodified client needs it to create a repository and commit to it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What the server holds: files by path, whether the repository is private, and whose token it takes."""

    token: str
    url: str = ""
    private: bool | None = None
    commits: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def serving(token: str) -> Iterator[Hub]:
    """A hub that runs as long as the block."""
    hub = Hub(token)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self.answer({"error": "Invalid credentials"}, 401)
            if self.path == "/api/repos/create":
                hub.private = json.loads(body).get("visibility") == "private" or bool(json.loads(body).get("private"))
                return self.answer({"url": f"{hub.url}/me/model", "name": "me/model", "id": "me/model"})
            if "/preupload/" in self.path:
                sent = [{"path": file["path"], "size": file["size"]} for file in json.loads(body)["files"]]
                modes = [(file["path"], "lfs" if file["path"].endswith(".safetensors") else "regular") for file in sent]
                answer = [
                    {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None} for path, mode in modes
                ]
                return self.answer({"files": answer})
            if self.path.endswith("/info/lfs/objects/batch"):
                wanted = json.loads(body)["objects"]
                answer = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}", "header": {}}}}
                    for one in wanted
                ]
                return self.answer({"transfer": "basic", "objects": answer})
            if "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        hub.files[value["path"]] = hub.objects[value["oid"]]
                hub.commits += 1
                return self.answer({"commitOid": "0" * 40, "commitUrl": f"{hub.url}/me/model/commit/{'0' * 40}"})
            return self.answer({"errors": [], "warnings": []})

        def do_PUT(self) -> None:
            hub.objects[self.path.rsplit("/", 1)[-1]] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({})

        def answer(self, content: Any, status: int = 200) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
