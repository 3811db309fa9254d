"""A model hub on the loopback, as far as the unmodified client needs it to keep files: in memory, faults on request.

Repositories are private or not, have a line of commits that are whole or not there, and answer 412 to a stale parent.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORY = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree|preupload|commit)/([^/]+))?(?:/.*)?")
RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
DROP = 0  # in the place of a status: the connection ends without an answer


@dataclass
class Repository:
    """A private or public repository: the files after each commit, the newest last."""

    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])

    @property
    def files(self) -> dict[str, bytes]:
        """What is there now."""
        return self.commits[-1]

    @property
    def head(self) -> str:
        """The name of the newest commit."""
        return self.name_of(len(self.commits) - 1)

    def name_of(self, number: int) -> str:
        """The name of a commit."""
        return hashlib.sha1(str(number).encode()).hexdigest()

    def at(self, revision: str) -> dict[str, bytes] | None:
        """The files at a revision, or None."""
        if revision == "main":
            return self.files
        return next((files for n, files in enumerate(self.commits) if self.name_of(n) == revision), None)


@dataclass
class Fault:
    """The next `times` requests of `method` with `part` in their path get `status` (or `DROP`) for an answer."""

    method: str
    part: str
    status: int
    times: int = 1
    message: str = "on request"


@dataclass
class Hub:
    """What the server holds and whose token it takes. `before_commit` runs before a commit is looked at."""

    token: str
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    before_commit: Callable[[Repository], None] | None = None

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that meets a request, used up by one."""
        for fault in self.faults:
            if fault.times and fault.method == method and fault.part in path:
                fault.times -= 1
                return fault
        return None

    def commit(self, name: str, repository: Repository, body: bytes) -> tuple[dict[str, Any], int]:
        """Apply the lines of a commit, all or none."""
        if self.before_commit:
            self.before_commit(repository)
        files = dict(repository.files)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", repository.head) != repository.head:
                return {"error": "A commit has happened since. Please refresh and try again."}, 412
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFolder":
                gone = [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]
                if not gone:
                    return {"error": f"{value['path']} does not exist"}, 400
                for path in gone:
                    del files[path]
        repository.commits.append(files)
        return {
            "success": True,
            "commitOid": repository.head,
            "commitUrl": f"{self.url}/{name}/commit/{repository.head}",
        }, 200


class Handler(BaseHTTPRequestHandler):
    """Answers the client out of the `Hub` of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def meet(self) -> None:
        """Any request: the fault that waits for it, else its answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        fault = self.hub.fault(self.command, path)
        if fault and fault.status == DROP:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault:
            self.answer({"error": fault.message}, fault.status)
        elif path.startswith("/lfs/"):  # a signed address: no token is sent to it
            self.hub.objects[path.rsplit("/", 1)[-1]] = body
            self.answer({})
        elif self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.answer({"error": "Invalid credentials in Authorization header"}, 401)
        else:
            self.serve(path, body)

    do_GET = do_HEAD = do_POST = do_PUT = meet

    def serve(self, path: str, body: bytes) -> None:
        """A request with the right token."""
        hub = self.hub
        if path == "/api/whoami-v2":
            return self.answer({"type": "user", "name": "me", "orgs": [], "auth": {"type": "access_token"}})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            known = name in hub.repositories
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            hub.repositories.setdefault(name, Repository(private))
            return self.answer({"url": f"{hub.url}/{name}", "name": name, "id": name}, 409 if known else 200)
        if path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            for one in wanted:
                if one["oid"] not in hub.objects:
                    one["actions"] = {"upload": {"href": f"{hub.url}/lfs/{one['oid']}?signature=secret", "header": {}}}
            return self.answer({"transfer": "basic", "objects": wanted})
        if found := RESOLVE.fullmatch(path):
            return self.resolve(*found.groups())
        if found := REPOSITORY.fullmatch(path):
            name, what, revision = found.groups()
            repository = hub.repositories.get(name)
            files = repository.at(revision or "main") if repository else None
            if repository is None or files is None:
                return self.answer({"error": "Repository not found"}, 404)
            if what == "commit":
                return self.answer(*hub.commit(name, repository, body))
            if what == "tree":
                listing = [{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()]
                return self.answer(listing)
            if what == "preupload":
                sent = [file["path"] for file in json.loads(body)["files"]]
                modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in sent}
                uploads = [{"path": p, "uploadMode": m, "shouldIgnore": False, "oid": None} for p, m in modes.items()]
                return self.answer({"files": uploads})
            siblings = [{"rfilename": path} for path in files]
            about = {"id": name, "sha": repository.head, "private": repository.private, "siblings": siblings}
            return self.answer(about)
        return self.answer({"errors": [], "warnings": []})

    def resolve(self, name: str, revision: str, path: str) -> None:
        """A file, or what is known about it."""
        repository = self.hub.repositories[name]
        content = (repository.at(revision) or {}).get(path)
        if content is None:
            return self.answer({"error": "Entry not found"}, 404)
        return self.answer(
            content, headers={"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": revision}
        )

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send bytes, or anything else as JSON."""
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        named = {} if isinstance(content, bytes) else {"Content-Type": "application/json"}
        if status >= 400 and isinstance(content, dict):
            named["X-Error-Message"] = str(content.get("error"))
        for header, value in {**named, **(headers or {}), "Content-Length": str(len(sent))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(token: str) -> Iterator[Hub]:
    """A hub that runs as long as the block."""
    hub = Hub(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=lambda: server.serve_forever(0.05), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
