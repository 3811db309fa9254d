"""A client of any OpenAI-compatible endpoint: a local server, or Gemini's or OpenRouter's.

One request at a time, answers as JSON of a given schema, waits where the server says so, and a cap on what is spent.
The key is read from an environment variable when a request is sent, and goes nowhere else: not into settings, logs,
errors or caches. What is asked, and whether an answer is believed, is the caller's business.
"""

import contextlib
import copy
import email.utils
import json
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, model_validator

from posellm_assets.files import read_json, write_json
from posellm_assets.records import Record

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TRANSIENT = (408, 429, 500, 502, 503, 504, 529)
LONGEST_WAIT_S = 120.0
LARGEST_ANSWER_BYTES = 4_000_000
SHORTEST_SECRET = 8  # shorter words that servers of this machine take for keys are no secrets, and may be in any answer
CHARACTERS_PER_TOKEN = 3  # fewer than any tokenizer of text has, so that a request is never thought too cheap
IMAGE_TOKENS = 2000


class EndpointError(RuntimeError):
    """The endpoint gave no answer; the message says why and what to do."""


class SpendingCapReached(EndpointError):
    """The next request could cost more than is left under the cap."""


class NotJson(ValueError):
    """The endpoint answered, but not with JSON; `text` is what it said."""

    def __init__(self, reason: str, text: str):
        super().__init__(reason)
        self.text = text


class EndpointConfig(Record):
    """Where a model is served, how to ask it, and what it may cost."""

    url: str = Field(description="Base URL, e.g. https://openrouter.ai/api/v1 or http://localhost:8000/v1")
    model: str = Field(min_length=1, description="The model that is asked, as the endpoint calls it")
    key_variable: str | None = Field(default=None, description="Environment variable that holds the key; never the key")
    timeout_s: float = Field(default=60.0, gt=0, description="For one try, from sending to the last byte")
    tries: int = Field(default=4, ge=1, description="How often a request is tried")
    requests_per_minute: float | None = Field(
        default=None, gt=0, description="Most requests in a minute; as many as there are if not given"
    )
    max_answer_tokens: int = Field(default=4000, ge=1, description="Most tokens of an answer")
    answers: Literal["json_schema", "json_object"] = Field(
        default="json_schema", description="How JSON is asked for; json_object for servers that take no schema"
    )
    usd_per_million_input: float | None = Field(default=None, ge=0, description="Price; 0 where it is free")
    usd_per_million_output: float | None = Field(
        default=None, ge=0, description="Price of a million tokens of answers, so that max_usd can be kept"
    )
    max_usd: float = Field(default=1.0, ge=0, description="Spending cap, over all runs that share a ledger")

    @model_validator(mode="after")
    def _safe_and_priced(self) -> "EndpointConfig":
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{self.url!r} is not the URL of an endpoint")
        if address.username or address.password or address.query:
            raise ValueError("an endpoint's URL carries no key: name the environment variable in key_variable")
        if not self.is_local and self.key_variable and address.scheme != "https":
            raise ValueError(f"a key would go to {address.hostname} unencrypted: use https")
        if not self.is_local and (self.usd_per_million_input is None or self.usd_per_million_output is None):
            raise ValueError("set usd_per_million_input and usd_per_million_output (0 if free), or no cap can be kept")
        return self

    @property
    def is_local(self) -> bool:
        """Whether it is a server of this machine, which is taken to cost nothing unless prices say otherwise."""
        return urlsplit(self.url).hostname in LOOPBACK

    @property
    def name(self) -> str:
        """The model and where it is served, for labels and messages."""
        return f"{self.model} at {urlsplit(self.url).netloc}"


@dataclass(frozen=True)
class _Failure:
    """Why a try gave no answer (`kind` in a word), how long the server asks to wait, and whether another try makes
    sense."""

    kind: str
    reason: str
    again: bool
    wait_s: float | None = None
    may_have_cost: bool = False


class _Watch:
    """Ends the connection of a request after `seconds` in all: the client's own limit begins anew with each byte."""

    def __init__(self, seconds: float):
        self.ended = False
        self._stream: Any = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def seen(self, event: str, info: Mapping[str, Any]) -> None:
        """What happens to the request (httpcore's `trace`): the connection, and then the encrypted one on it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]

    def _end(self) -> None:
        self.ended = True
        connection = self._stream and self._stream.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Endpoint:
    """Asks one endpoint, in turn, under its cap.

    `ledger` keeps what was spent from run to run (JSON, by endpoint); without one the cap holds for this object alone.
    `sleep` and `clock` are for tests.
    """

    def __init__(
        self,
        config: EndpointConfig,
        ledger: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.config = config
        self.tried = 0
        """Requests sent, those that failed among them."""
        self.failed: Counter[str] = Counter()
        """How often a request came to nothing, by kind: `time-out`, `HTTP 429`, `connection`, ..."""
        self._ledger, self._sleep, self._clock = ledger, sleep, clock
        self._spent_usd = 0.0
        self._last_s: float | None = None

    @cached_property
    def _client(self) -> httpx.Client:
        config = self.config
        # Not compressed, so that what is read is as large as what is sent; on a connection that `_Watch` sees made.
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        own = not config.is_local
        return httpx.Client(base_url=config.url, timeout=config.timeout_s, headers=headers, trust_env=own)

    @property
    def spent_usd(self) -> float:
        """What the endpoint has cost, over all runs where there is a ledger."""
        if self._ledger is None or not self._ledger.exists():
            return self._spent_usd
        return float(read_json(self._ledger).get(self.config.name, 0.0))

    def __str__(self) -> str:
        """What was asked, what came to nothing and what it cost, in a line."""
        failed = ", ".join(f"{kind} {count}" for kind, count in sorted(self.failed.items())) or "none"
        return f"{self.config.name}: {self.tried} requests, failed: {failed}, {self.spent_usd:.4f} USD spent in all"

    def ask(self, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any], name: str) -> Any:
        """The JSON answer to chat `messages`, asked for by `schema` (a JSON schema called `name`), at temperature 0.

        Tries again after 408, 429, 5xx, time-outs and broken connections, waiting as `Retry-After` says or longer each
        time. Raises SpendingCapReached before a request that could exceed the cap, NotJson for an answer that is no
        JSON, EndpointError for everything else. Whether the answer follows the schema is the caller's to check.
        """
        body = self._body(messages, schema, name)
        failure = _Failure("", "it was never asked", again=False)
        for turn in range(self.config.tries):
            if turn:
                self._sleep(failure.wait_s if failure.wait_s is not None else min(2.0**turn, LONGEST_WAIT_S))
            self._stay_under_the_rate()
            worst_usd = self._worst_usd(messages, schema)
            if self.spent_usd + worst_usd > self.config.max_usd:
                raise SpendingCapReached(
                    f"{self.config.name}: {self.spent_usd:.4f} USD are spent and the next request may cost "
                    f"{worst_usd:.4f}, of {self.config.max_usd} allowed; raise max_usd to go on"
                )
            answer = self._try(body)
            if not isinstance(answer, _Failure):
                return self._content(answer, worst_usd)
            failure = answer
            self.failed[failure.kind] += 1
            if failure.may_have_cost:
                self._spend(worst_usd)
            if not failure.again:
                break
        raise EndpointError(f"{self.config.name} gave no answer after {turn + 1} tries: {failure.reason}")

    def _body(self, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any], name: str) -> dict[str, Any]:
        form: dict[str, Any] = {"type": "json_object"}
        if self.config.answers == "json_schema":
            form = {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": strict(schema)}}
        return {
            "model": self.config.model,
            "messages": list(messages),
            "temperature": 0,
            "max_tokens": self.config.max_answer_tokens,
            "response_format": form,
        }

    def _try(self, body: dict[str, Any]) -> dict[str, Any] | _Failure:
        """One request. Failures are returned, never chained: an httpx error holds the request, and that the key."""
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.tried += 1
        deadline = self._clock() + self.config.timeout_s
        late = _Failure("time-out", f"no whole answer in {self.config.timeout_s} s", True, None, True)
        status, content = 0, b""
        watch = _Watch(self.config.timeout_s)
        try:
            asked: dict[str, Any] = {"json": body, "headers": headers, "extensions": {"trace": watch.seen}}
            with watch, self._client.stream("POST", "chat/completions", **asked) as response:
                status, waits = response.status_code, _retry_after(response.headers.get("Retry-After"))
                if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
                    return _Failure("compressed", f"it sends {coding}, which was not asked for", False, None, True)
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > LARGEST_ANSWER_BYTES:
                        return _Failure(
                            "too long", f"its answer is longer than {LARGEST_ANSWER_BYTES} bytes", False, None, True
                        )
                    if self._clock() > deadline:
                        return late
        except httpx.TimeoutException:
            return _Failure("time-out", f"no answer in {self.config.timeout_s} s", True, None, True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if watch.ended:
                return late
            return _Failure("connection", f"the connection failed ({type(error).__name__})", True, None, status != 0)
        if status != 200:
            return _refused(status, waits, _without(key, content.decode(errors="replace"))[:300], self.config)
        try:
            answer = _without(key, json.loads(content))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            return _Failure("not JSON", "it answered 200 with something that is not JSON", True, None, True)
        return answer

    def _content(self, answer: dict[str, Any], worst_usd: float) -> Any:
        """The JSON that the model said; what it cost is written down first."""
        usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
        self._spend(self._cost_usd(usage or {}, worst_usd))
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise NotJson("the answer holds no message", json.dumps(answer)[:2000]) from None
        if choice.get("finish_reason") == "length":
            raise NotJson(f"the answer was cut off at {self.config.max_answer_tokens} tokens", str(text))
        try:
            said = _without(self._key(), json.loads(_unfenced(text)))
            json.dumps(said, allow_nan=False)  # Python reads NaN and Infinity, which JSON does not have
        except (ValueError, TypeError, AttributeError, RecursionError):  # a refusal has the content null
            raise NotJson("the answer is not JSON", str(text)) from None
        return said

    def _cost_usd(self, usage: Mapping[str, Any], worst_usd: float) -> float:
        """What the server says that it cost, else its tokens at the prices set, else the most that it can have cost."""
        if isinstance(cost := usage.get("cost"), int | float) and 0 <= cost < math.inf:
            return float(cost)
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if all(isinstance(count, int) and count >= 0 for count in tokens):
            return self._usd(*tokens)
        return worst_usd

    def _worst_usd(self, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> float:
        """The most that a request can cost."""
        parts = [part for message in messages for part in _parts(message["content"])]
        images = sum(part["type"] == "image_url" for part in parts)
        characters = sum(len(part.get("text", "")) for part in parts) + len(json.dumps(schema))
        return self._usd(characters // CHARACTERS_PER_TOKEN + IMAGE_TOKENS * images, self.config.max_answer_tokens)

    def _usd(self, given: Any, taken: Any) -> float:
        prices = self.config.usd_per_million_input or 0.0, self.config.usd_per_million_output or 0.0
        return float(given * prices[0] + taken * prices[1]) / 1e6

    def _spend(self, usd: float) -> None:
        total = self.spent_usd + usd
        self._spent_usd = total
        if self._ledger is not None and usd > 0:
            spent = read_json(self._ledger) if self._ledger.exists() else {}
            write_json(self._ledger, {**spent, self.config.name: total})

    def _stay_under_the_rate(self) -> None:
        if self.config.requests_per_minute and self._last_s is not None:
            due_s = self._last_s + 60 / self.config.requests_per_minute
            if (wait_s := due_s - self._clock()) > 0:
                self._sleep(wait_s)
        self._last_s = self._clock()

    def _key(self) -> str | None:
        if self.config.key_variable is None:
            return None
        key = os.environ.get(self.config.key_variable, "").strip()
        if not key:
            raise EndpointError(
                f"{self.config.name}: the environment variable {self.config.key_variable} is not set; put the key there"
            )
        return key


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema in the part of the language that structured output takes.

    Every property is required, nothing else is allowed, and there are no defaults and no fixed-place arrays.
    """
    made = copy.deepcopy(dict(schema))
    pieces: list[Any] = [made]
    while pieces:
        piece = pieces.pop()
        if isinstance(piece, list):
            pieces += piece
        elif isinstance(piece, dict):
            if "properties" in piece:
                piece |= {"required": list(piece["properties"]), "additionalProperties": False}
            if "prefixItems" in piece:
                piece["items"] = piece.pop("prefixItems")[0]
            piece.pop("default", None)
            pieces += piece.values()
    return made


def _refused(status: int, waits: float | None, said: str, config: EndpointConfig) -> _Failure:
    """The failure of an answer that is no 200."""
    kind = f"HTTP {status}"
    if status in TRANSIENT:
        if waits is not None and waits > LONGEST_WAIT_S:
            return _Failure(kind, f"HTTP {status}, and it asks to wait {waits:.0f} s; try again then", again=False)
        return _Failure(kind, f"HTTP {status}: {said}", again=True, wait_s=waits)
    if status in (401, 403):
        return _Failure(
            kind, f"HTTP {status}: look at the key in {config.key_variable or 'key_variable (not set)'}", False
        )
    if status == 404:
        return _Failure(kind, f"HTTP 404: is the URL right, and is there a model {config.model!r}?", again=False)
    return _Failure(kind, f"HTTP {status}: {said}", again=False)


def _retry_after(said: str | None) -> float | None:
    """The seconds that a `Retry-After` header (RFC 9110, 10.2.3: seconds or a date) asks for."""
    if said is None:
        return None
    if said.strip().isdigit():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def _without(key: str | None, value: Any) -> Any:
    """A JSON value without the key, should the server have said it again."""
    if not key or len(key) < SHORTEST_SECRET:
        return value
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, list):
        return [_without(key, one) for one in value]
    if isinstance(value, dict):
        return {_without(key, name): _without(key, one) for name, one in value.items()}
    return value


def _unfenced(text: str) -> str:
    """JSON that a model put between the fences of a code block."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json")
    return bare


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
