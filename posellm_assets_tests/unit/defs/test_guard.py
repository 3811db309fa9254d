"""The guard before the Dagster server, with the requests that pages of other origins can send."""

import asyncio
from typing import Any

import pytest

from posellm_assets.defs.guard import Guard


def ask(
    method: str = "GET",
    path: str = "/graphql",
    *,
    host: str | None = "127.0.0.1:3000",
    kind: str = "http",
    hosts: tuple[str, ...] = (),
    forms: str | None = None,
    **headers: str,
) -> tuple[int, dict[str, str]]:
    """The status and headers of what the guard answers, 200 where it lets the request through."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if kind == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        else:
            await send({"type": "websocket.accept"})

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    named = {**({"host": host} if host else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
    path, _, query = path.partition("?")
    scope = {"type": kind, "path": path, "query_string": query.encode()}
    scope |= {"headers": [(name.lower().encode(), value.encode()) for name, value in named.items()]}
    if kind == "http":
        scope["method"] = method
    asyncio.run(Guard(app, hosts, forms)(scope, receive, send))
    if kind == "websocket":
        return {"websocket.accept": 200, "websocket.close": 403}[sent[0]["type"]], {}
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000", "localhost"])
def test_its_own_pages_and_programs_are_let_through(host: str) -> None:
    json = {"Content_Type": "application/json; charset=utf-8"}
    assert ask("POST", host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin", **json)[0] == 200
    assert ask("POST", host=host, **json)[0] == 200
    assert ask("GET", "/runs", host=host, Sec_Fetch_Site="none", Sec_Fetch_Dest="document")[0] == 200
    assert ask(kind="websocket", host=host, Origin=f"http://{host}")[0] == 200
    assert ask("GET", "/graphql?query={x}", host=host, Accept="text/html,*/*")[0] == 200


def test_a_link_to_it_may_be_followed_from_elsewhere_but_not_framed() -> None:
    status, headers = ask("GET", "/runs/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")
    assert status == 200 and headers["x-frame-options"] == "DENY"
    assert ask("GET", "/runs/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="iframe")[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example:3000", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:3000", "", None, "a:b:c"]
)
def test_a_name_that_is_not_of_this_machine_is_refused(host: str | None) -> None:
    assert ask("GET", "/runs", host=host)[0] == 403
    assert ask("POST", host=host, Content_Type="application/json")[0] == 403
    assert ask(kind="websocket", host=host)[0] == 403


def test_a_name_that_was_set_is_taken_with_its_own_origin_alone() -> None:
    named = {"hosts": ("Lab.example",), "host": "lab.example", "Content_Type": "application/json"}
    assert ask("POST", Origin="https://lab.example", **named)[0] == 200
    assert ask("POST", Origin="http://127.0.0.1:3000", **named)[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:8000", "http://localhost:3000", "null", "", "file://127.0.0.1:3000"],
)
def test_another_origin_is_refused_even_one_of_this_machine(origin: str) -> None:
    assert ask("POST", Origin=origin, Content_Type="application/json")[0] == 403
    assert ask("GET", "/graphql", Origin=origin)[0] == 403
    assert ask(kind="websocket", Origin=origin)[0] == 403


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain; x=application/json", "application/x-www-form-urlencoded", "application/graphql", None],
)
def test_what_a_form_or_a_page_may_send_without_asking_is_refused(content_type: str | None) -> None:
    headers = {"Content_Type": content_type} if content_type else {}
    for path in ("/graphql", "/report_asset_materialization/captions"):
        assert ask("POST", path, **headers)[0] == 403


def test_a_get_carries_no_query_out() -> None:
    assert ask("GET", "/graphql?query=mutation{x}", Accept="image/*")[0] == 403
    assert ask("GET", "/runs", Sec_Fetch_Site="same-site", Sec_Fetch_Dest="image")[0] == 403


def test_files_are_sent_as_a_form_by_its_own_pages_alone_and_to_their_place_alone() -> None:
    form = {"Content_Type": "multipart/form-data; boundary=x"}
    assert ask("POST", "/upload", forms="/upload", Origin="http://127.0.0.1:3000", **form)[0] == 200
    assert ask("POST", "/upload", forms="/upload", Origin="http://evil.example", **form)[0] == 403
    assert ask("POST", "/runs", forms="/upload", **form)[0] == 403
    assert ask("POST", "/upload", **form)[0] == 403
