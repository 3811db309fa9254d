"""A failed run is told to a webhook, a real one on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from posellm_assets.defs.alert import run_failure_alert
from posellm_assets.defs.resources import LakeResource


class Webhook(HTTPServer):
    """Keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.told: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook-secret"


class Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@dg.op
def breaks() -> None:
    raise ValueError("tennis/<!channel>.mp4 is no video")


@dg.job
def ingest() -> None:
    breaks()


def tell(tmp_path: Path, settings: dict[str, object]) -> dg.SkipReason | None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = ingest.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "run_failure_alert",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"lake": LakeResource(str(tmp_path), {"automation": settings})},
        ).for_run_failure()
        said = run_failure_alert(context)
    assert said is None or isinstance(said, dg.SkipReason)
    return said


def test_what_failed_is_told_without_the_markup_of_the_chat(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERTS", webhook.url)
    tell(tmp_path, {"alert_variable": "ALERTS"})
    (told,) = webhook.told
    assert told["text"].startswith("ingest  failed (run ") and "breaks" in told["text"]
    assert "<" not in told["text"]


def test_nothing_is_told_where_nobody_is_named(tmp_path: Path, webhook: Webhook) -> None:
    assert isinstance(tell(tmp_path, {}), dg.SkipReason)
    assert not webhook.told


def test_an_address_that_takes_nothing_fails_the_tick_and_is_not_named(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(dg.Failure, match=r"ALERTS of automation\.alert_variable is not set"):
        tell(tmp_path, {"alert_variable": "ALERTS"})
    monkeypatch.setenv("ALERTS", webhook.url)
    webhook.status = 404
    with pytest.raises(dg.Failure, match="answered 404") as refused:
        tell(tmp_path, {"alert_variable": "ALERTS"})
    webhook.server_close()
    monkeypatch.setenv("ALERTS", "http://127.0.0.1:1/hook-secret")
    with pytest.raises(dg.Failure, match="was not reached") as away:
        tell(tmp_path, {"alert_variable": "ALERTS"})
    assert "hook-secret" not in f"{refused.value} {away.value}"
