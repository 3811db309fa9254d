"""What stands before the Dagster server, which asks nobody who they are: requests of other web pages are refused.

A page that the user has open elsewhere can send requests to any server of this machine. A browser says which page a
request comes from (`Origin`, `Sec-Fetch-Site`); the name that the page called the server by (`Host`) tells those whose
own name was made to point here. Programs without a browser, such as curl, send neither and are let through.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from posellm_assets.endpoint import LOOPBACK

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = ("GET", "HEAD", "OPTIONS")
# Whatever a page shows of it, nobody clicks in a frame of another page.
_NO_FRAMES = [(b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'")]


class Guard:
    """An ASGI application before another: it passes on what its own pages and programs ask, and refuses the rest.

    `hosts` are names besides those of this machine that the server is called by, as a proxy before it may have one.
    Where `forms` begins a path, its own pages send files to it as a form.
    """

    def __init__(self, app: App, hosts: Iterable[str] = (), forms: str | None = None):
        self.app, self.forms = app, forms
        self.hosts = {*LOOPBACK, *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or websocket on, or answer 403 with the reason."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif (reason := self.refusal(scope)) is None:
            await self.app(scope, receive, _without_frames(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), *_NO_FRAMES]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None where it is not."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        host = _split(f"//{hosts[0]}") if len(hosts) == 1 else None
        if host is None or host.hostname not in self.hosts:
            return f"refused: this server is not called {hosts}; `ui.hosts` in posellm.yaml takes more names"
        if any(not _same(origin, host) for origin in origins):
            return "refused: the request comes from another web page"
        is_websocket = scope["type"] == "websocket"
        method = "GET" if is_websocket else scope["method"]
        site = headers.get("sec-fetch-site", ["none"])
        if not set(site) <= {"same-origin", "none"} and not (
            # A link to the UI may be followed: the address shows it, and what is shown changes nothing.
            method == "GET" and headers.get("sec-fetch-dest") == ["document"]
        ):
            return "refused: the request comes from another web page"
        is_form = _essence(headers) == "multipart/form-data" and self._takes_forms(scope)
        if method not in _READING and _essence(headers) != "application/json" and not is_form:
            return "refused: send application/json"
        if method in _READING and not is_websocket and _changes(scope, headers):
            return "refused: send a GraphQL query by POST"
        return None

    def _takes_forms(self, scope: Scope) -> bool:
        return self.forms is not None and str(scope["path"]).startswith(self.forms)


def _changes(scope: Scope, headers: Mapping[str, list[str]]) -> bool:
    """Whether a GET carries out a GraphQL query, which Dagster does unless it is asked for the page to write one in."""
    asks = scope["path"].rstrip("/").endswith("/graphql") and "query" in parse_qs(
        scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True
    )
    return asks and "text/html" not in ",".join(headers.get("accept", []))


def _essence(headers: Mapping[str, list[str]]) -> str:
    """The media type without its parameters: browsers send `text/plain; x=application/json` without asking first."""
    return ",".join(headers.get("content-type", [])).split(";")[0].strip().lower()


def _same(origin: str, host: SplitResult) -> bool:
    split = _split(origin)
    return split is not None and split.scheme in ("http", "https") and split.netloc.lower() == host.netloc.lower()


def _split(address: str) -> SplitResult | None:
    try:
        split = urlsplit(address)
        return split if split.hostname and split.port != 0 else None
    except ValueError:
        return None


def _without_frames(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_NO_FRAMES]}
        await send(message)

    return sending
