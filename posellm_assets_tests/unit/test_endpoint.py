"""The client of OpenAI-compatible endpoints: it waits as told, keeps its cap, and never lets the key out."""

import contextlib
import email.utils
import gzip
import json
import logging
import socket
import threading
import time
import traceback
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posellm_assets.endpoint import Endpoint, EndpointConfig, EndpointError, NotJson, SpendingCapReached, strict
from posellm_assets_tests.endpoint_server import Served, endpoint, hangs, refuses, says

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean", "default": True}}}
HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-secret-0123456789"


class Waits(list[float]):
    """A sleep that only writes down how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(served: Served, waits: Waits | None = None, ledger: Path | None = None, **settings: Any) -> Endpoint:
    config = EndpointConfig(url=served.url, model="m", **settings)
    return Endpoint(config, Path(ledger) if ledger else None, sleep=Waits() if waits is None else waits)


def test_a_question_goes_out_with_its_schema_at_temperature_0_and_the_json_comes_back() -> None:
    with endpoint(says({"ok": True})) as served:
        assert client(served).ask(HELLO, SCHEMA, "answer") == {"ok": True}
    (sent,) = served.requests
    assert (sent["model"], sent["temperature"], sent["messages"]) == ("m", 0, HELLO)
    asked = sent["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"], asked["schema"]["required"]) == ("answer", True, ["ok"])
    assert "Authorization" not in served.headers[0]


def test_a_schema_becomes_one_that_structured_output_takes() -> None:
    made = strict({"properties": {"at": {"type": "array", "prefixItems": [{"type": "number"}] * 2, "default": []}}})
    assert made["additionalProperties"] is False
    assert made["properties"]["at"] == {"type": "array", "items": {"type": "number"}}


@pytest.mark.parametrize("text", ['```json\n{"ok": true}\n```', ' {"ok": true} '])
def test_json_between_fences_is_still_json(text: str) -> None:
    with endpoint(says(text)) as served:
        assert client(served, answers="json_object").ask(HELLO, SCHEMA, "answer") == {"ok": True}
    assert served.requests[0]["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (says("Sure! The knee is fine."), "not JSON"),
        (says('{"value": NaN}'), "not JSON"),
        (says('{"value": 1e999}'), "not JSON"),
        (says('{"ok": tr', finish_reason="length"), "cut off at 4000 tokens"),
        (lambda: (200, {}, b'{"choices": []}'), "no message"),
        (lambda: (200, {}, b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}'), "not JSON"),
    ],
)
def test_an_answer_that_is_no_json_is_kept_in_the_error(reply: Any, why: str) -> None:
    with endpoint(reply) as served, pytest.raises(NotJson, match=why) as raised:
        client(served).ask(HELLO, SCHEMA, "answer")
    assert raised.value.text
    assert len(served.requests) == 1


def test_429_waits_as_long_as_the_server_says_in_seconds_or_by_date() -> None:
    by_date = email.utils.formatdate(time.time() + 40, usegmt=True)
    waits = Waits()
    replies = refuses(429, Retry_After="7"), refuses(429, Retry_After=by_date), refuses(503), says({"ok": True})
    with endpoint(*replies) as served:
        one = client(served, waits)
        assert one.ask(HELLO, SCHEMA, "answer") == {"ok": True}
    assert waits[0] == 7
    assert 0 < waits[1] <= 40
    assert waits[2] == 8  # no word of the server: longer each time
    assert one.tried == 4


def test_a_wait_of_an_hour_is_not_sat_out() -> None:
    with endpoint(refuses(429, Retry_After="3600")) as served, pytest.raises(EndpointError, match="wait 3600 s"):
        client(served, waits := Waits()).ask(HELLO, SCHEMA, "answer")
    assert waits == []


def test_it_gives_up_after_its_tries_and_says_what_the_server_said() -> None:
    with endpoint(refuses(502, "upstream is asleep")) as served:
        with pytest.raises(EndpointError, match=r"no answer after 3 tries: HTTP 502: upstream is asleep"):
            client(served, tries=3).ask(HELLO, SCHEMA, "answer")
        assert len(served.requests) == 3


@pytest.mark.parametrize(
    ("status", "says_what"), [(401, "look at the key"), (404, "is there a model 'm'"), (302, "302")]
)
def test_what_another_try_cannot_mend_is_tried_once(status: int, says_what: str) -> None:
    with endpoint(refuses(status, Location="http://127.0.0.1:9/elsewhere")) as served:
        with pytest.raises(EndpointError, match=says_what):
            client(served).ask(HELLO, SCHEMA, "answer")
        assert len(served.requests) == 1


def test_a_server_that_says_nothing_times_out_and_is_asked_again() -> None:
    with endpoint(says({"ok": True})) as served:
        served.replies.insert(0, hangs(served))
        assert client(served, timeout_s=5).ask(HELLO, SCHEMA, "answer") == {"ok": True}
        assert len(served.requests) == 2


def test_nobody_there_is_said_plainly() -> None:
    with pytest.raises(EndpointError, match=r"m at 127.0.0.1:9 gave no answer after 2 tries: the connection failed"):
        client(Served("http://127.0.0.1:9/v1", []), tries=2).ask(HELLO, SCHEMA, "answer")


def test_the_key_is_sent_and_is_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with endpoint(refuses(500, f"your key {KEY} is odd"), says("{", usage={"cost": 0.1})) as served:
        one = client(served, ledger=tmp_path / "spent.json", key_variable="A_KEY")
        with pytest.raises(NotJson):
            one.ask(HELLO, SCHEMA, "answer")
        served.replies[:] = [refuses(400, f"bad key {KEY}")]
        with pytest.raises(EndpointError) as raised:
            one.ask(HELLO, SCHEMA, "answer")
    assert served.headers[0]["Authorization"] == f"Bearer {KEY}"
    told = "".join(traceback.format_exception(raised.value)) + caplog.text + repr(one.config) + repr(vars(one))
    told += one.config.model_dump_json() + (tmp_path / "spent.json").read_text()
    assert KEY not in told
    assert raised.value.__context__ is None


def test_a_key_that_comes_back_in_an_answer_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    replies = [says({"ok": KEY, KEY: [f"your key is {KEY}"]}), says(f'{{"ok": "{escaped}"}}'), says(f"no JSON: {KEY}")]
    with endpoint(*replies) as served:
        one = client(served, key_variable="A_KEY")
        assert one.ask(HELLO, SCHEMA, "answer") == {"ok": "***", "***": ["your key is ***"]}
        assert one.ask(HELLO, SCHEMA, "answer") == {"ok": "***"}
        with pytest.raises(NotJson) as caught:
            one.ask(HELLO, SCHEMA, "answer")
        served.replies[:] = [refuses(400, "x" * 290 + KEY)]
        with pytest.raises(EndpointError) as refused:
            one.ask(HELLO, SCHEMA, "answer")
    assert caught.value.text == "no JSON: ***" and KEY[:6] not in str(refused.value)


def test_an_answer_that_grows_when_it_is_unpacked_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with endpoint(lambda: (200, {"Content-Encoding": "gzip"}, bomb)) as served:
        tracemalloc.start()
        with pytest.raises(EndpointError, match="sends gzip, which was not asked for"):
            client(served).ask(HELLO, SCHEMA, "answer")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()
    assert served.headers[0]["Accept-Encoding"] == "identity"


def test_an_answer_of_absurd_depth_is_no_json() -> None:
    with endpoint(lambda: (200, {}, b"[" * 1_000_000)) as served, pytest.raises(EndpointError, match="not JSON"):
        client(served, tries=1).ask(HELLO, SCHEMA, "answer")
    with endpoint(says("[" * 100_000)) as served, pytest.raises(NotJson):
        client(served).ask(HELLO, SCHEMA, "answer")


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_a_server_that_drips_is_given_up_after_the_time_in_all(beginning: bytes) -> None:
    """Each byte comes in time, in the headers or in the answer; all of them never do."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(beginning)
                while not done.wait(0.05):
                    connection.sendall(b"a")

        threading.Thread(target=drip, daemon=True).start()
        config = EndpointConfig(url=f"http://127.0.0.1:{server.getsockname()[1]}/v1", model="m", timeout_s=0.5, tries=1)
        with pytest.raises(EndpointError, match=r"no whole answer in 0\.5 s"):
            Endpoint(config).ask(HELLO, SCHEMA, "answer")
        done.set()


def test_headers_without_end_are_not_kept() -> None:
    long = {f"X-{number}": "x" * 60_000 for number in range(50)}
    with endpoint(lambda: (200, long, b"{}")) as served, pytest.raises(EndpointError, match="connection failed"):
        client(served, tries=1).ask(HELLO, SCHEMA, "answer")


def test_a_key_that_is_not_set_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    with endpoint(says({})) as served, pytest.raises(EndpointError, match="variable A_KEY is not set"):
        client(served, key_variable="A_KEY").ask(HELLO, SCHEMA, "answer")


def test_the_cap_holds_before_a_request_and_from_run_to_run(tmp_path: Path) -> None:
    ledger = tmp_path / "spent.json"
    with endpoint(says({"ok": True}, usage={"cost": 0.4})) as served:
        assert client(served, ledger=ledger, max_usd=0.5).ask(HELLO, SCHEMA, "a") == {"ok": True}
        assert client(served, ledger=ledger, max_usd=0.5).ask(HELLO, SCHEMA, "a") == {"ok": True}
        with pytest.raises(SpendingCapReached, match=r"0\.8000 USD are spent .* of 0\.5 allowed; raise max_usd"):
            client(served, ledger=ledger, max_usd=0.5).ask(HELLO, SCHEMA, "a")
        assert len(served.requests) == 2
    assert list(json.loads(ledger.read_text()).values()) == [0.8]


def test_what_a_request_may_cost_at_most_counts_before_it_is_sent_and_a_time_out_is_counted_as_that() -> None:
    prices = {"usd_per_million_input": 1.0, "usd_per_million_output": 100.0, "max_answer_tokens": 4000}
    with endpoint(says({})) as served:
        with pytest.raises(SpendingCapReached):
            client(served, max_usd=0.3, **prices).ask(HELLO, SCHEMA, "a")
        assert served.requests == []
        served.replies[:] = [hangs(served)]
        with pytest.raises(SpendingCapReached):
            client(served, max_usd=0.9, timeout_s=2, **prices).ask(HELLO, SCHEMA, "a")
        assert len(served.requests) == 2


def test_tokens_are_priced_where_the_server_names_no_cost() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500}
    with endpoint(says({}, usage=usage)) as served:
        one = client(served, max_usd=5, usd_per_million_input=2.0, usd_per_million_output=10.0)
        one.ask(HELLO, SCHEMA, "a")
    assert one.spent_usd == pytest.approx(0.007)


def test_it_stays_under_the_rate() -> None:
    waits = Waits()
    with endpoint(says({})) as served:
        one = Endpoint(
            EndpointConfig(url=served.url, model="m", requests_per_minute=30), sleep=waits, clock=lambda: 5.0
        )
        one.ask(HELLO, SCHEMA, "a")
        one.ask(HELLO, SCHEMA, "a")
    assert waits == [2.0]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "ftp://x/v1"}, "not the URL"),
        ({"url": "https://me:key@api.example.org/v1"}, "carries no key"),
        ({"url": "http://api.example.org/v1", "key_variable": "K"}, "unencrypted"),
        ({"url": "https://api.example.org/v1"}, "usd_per_million"),
    ],
)
def test_settings_that_would_leak_a_key_or_keep_no_cap_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        EndpointConfig(model="m", **settings)
