"""Pages of other origins in a real browser, before the real UI on an empty lake."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from posellm_assets.defs.partitions import videos
from posellm_assets_tests.conftest import environment, new_home
from posellm_assets_tests.ui.serving import browsing, needs_chromium, serving

pytestmark = needs_chromium

LOCATION = {"repositoryLocationName": "posellm_assets.definitions", "repositoryName": "__repository__"}
LAUNCH = {
    "query": "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }",
    "variables": {
        "p": {
            "selector": {**LOCATION, "pipelineName": "train_tokenizer"},
            "runConfigData": {"resources": {"lake": {"config": {"root": "elsewhere"}}}},
            "mode": "default",
        }
    },
}
ADD_KEY = {
    "query": "mutation($s: RepositorySelector!, $n: String!, $k: String!) "
    "{ addDynamicPartition(repositorySelector: $s, partitionsDefName: $n, partitionKey: $k) { __typename } }",
    "variables": {"s": LOCATION, "n": videos.name, "k": "tennis.forged.00000000"},
}
# Each way in which a page can send something to another server; how the browser reports it does not matter here.
ATTACK = """async ({ui, bodies, report}) => {
    const tries = [];
    for (const body of bodies) {
        const text = JSON.stringify(body), query = new URLSearchParams(
            {query: body.query, variables: JSON.stringify(body.variables)});
        for (const type of ["text/plain", "text/plain; x=application/json", "application/json", "application/graphql"])
            for (const mode of ["no-cors", "cors"])
                tries.push(fetch(`${ui}/graphql`, {method: "POST", mode, body: text, headers: {"Content-Type": type}}));
        tries.push(fetch(`${ui}/graphql?${query}`, {method: "POST", mode: "no-cors"}));
        tries.push(fetch(`${ui}/graphql?${query}`, {mode: "no-cors"}));
        tries.push(new Promise(done => {
            const image = new Image();
            image.onload = image.onerror = done;
            image.src = `${ui}/graphql?${query}`;
        }));
        tries.push(new Promise(done => {
            const socket = new WebSocket(ui.replace("http", "ws") + "/graphql", "graphql-ws");
            socket.onopen = () => {
                socket.send(JSON.stringify({type: "connection_init"}));
                socket.send(JSON.stringify({id: "1", type: "start", payload: body}));
                setTimeout(done, 1000);
            };
            socket.onerror = done;
        }));
        const frame = document.createElement("iframe"), form = document.createElement("form");
        document.body.append(frame, form);
        frame.name = form.target = "f" + Math.random();
        form.method = "POST"; form.action = `${ui}/graphql?${query}`; form.enctype = "text/plain";
        tries.push(new Promise(done => { frame.onload = done; form.submit(); setTimeout(done, 3000); }));
    }
    tries.push(fetch(ui + report, {method: "POST", mode: "no-cors"}));
    navigator.sendBeacon(ui + report, "{}");
    return (await Promise.allSettled(tries)).length;
}"""


@contextmanager
def another_server() -> Iterator[int]:
    """A web server with an empty page, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"<!doctype html><body>another page</body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("others")


@pytest.fixture(scope="module")
def ui(folder: Path) -> Iterator[str]:
    with serving(environment(folder / "lake", new_home(folder / "home")), folder / "ui.log") as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    with browsing("--host-resolver-rules=MAP rebound.example 127.0.0.1") as page:
        yield page


def _changed(folder: Path) -> dict[str, Any]:
    with dg.DagsterInstance.from_config(str(folder / "home")) as instance:
        return {
            "runs": len(instance.get_run_ids()),
            "keys": list(instance.get_dynamic_partitions(videos.name or "")),
            "materialized": instance.get_latest_materialization_event(dg.AssetKey("motion_tokenizer")) is not None,
            "files": sorted(path.name for path in (folder / "lake").rglob("*")),
        }


def _send(page: Page, body: dict[str, Any]) -> tuple[int, Any]:
    """What the UI's server answers to its own page: the status, and the JSON or text."""
    status, text = page.evaluate(
        """async body => {
            const answer = await fetch("/graphql",
                {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
            return [answer.status, await answer.text()];
        }""",
        body,
    )
    return status, json.loads(text) if status == 200 else text


def test_a_page_of_another_origin_launches_no_run_and_changes_nothing_and_the_ui_works(
    ui: str, page: Page, folder: Path
) -> None:
    before = _changed(folder)
    tried = {"ui": ui, "bodies": [LAUNCH, ADD_KEY], "report": "/report_asset_materialization/motion_tokenizer"}
    with another_server() as port:
        # The second is of the same site, and differs in its port alone.
        for other in (f"http://localhost:{port}", f"http://127.0.0.1:{port}"):
            page.goto(other)
            assert page.evaluate(ATTACK, tried) == 2 * 13 + 1
            assert _changed(folder) == before, other
    # A name that first pointed to a server of its own and now points here: to the browser this is one origin.
    rebound = ui.replace("127.0.0.1", "rebound.example")
    answer = page.goto(f"{rebound}/runs")
    assert answer is not None and answer.status == 403
    assert [_send(page, body)[0] for body in (LAUNCH, ADD_KEY)] == [403, 403]
    assert _changed(folder) == before

    page.goto(f"{ui}/asset-groups")
    for group in ("footage", "poses", "language"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    status, said = _send(page, ADD_KEY)
    assert (status, said["data"]["addDynamicPartition"]["__typename"]) == (200, "AddDynamicPartitionSuccess")
    status, said = _send(page, LAUNCH)
    assert (status, said["data"]["launchRun"]["__typename"]) == (200, "LaunchRunSuccess")
    after = _changed(folder)
    assert (after["runs"], after["keys"]) == (before["runs"] + 1, ["tennis.forged.00000000"])
    assert not (folder / "elsewhere").exists() and not Path("elsewhere").exists()


def test_another_page_may_link_to_the_ui_but_shows_it_in_no_frame(ui: str, page: Page) -> None:
    with another_server() as port:
        page.goto(f"http://localhost:{port}")
        with page.expect_response(f"{ui}/runs") as framed:
            page.set_content(f'<a href="{ui}/runs?q=x">runs</a><iframe src="{ui}/runs"></iframe>')
        assert framed.value.status == 403
        page.get_by_text("runs", exact=True).click()
        expect(page.get_by_text("Runs", exact=True).first).to_be_visible()
