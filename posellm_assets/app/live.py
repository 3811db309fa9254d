"""The coach over a socket: the browser sends a picture when the one before is answered, so that none is queued.

It first sends JSON, `{"exercise": NAME or "", "rules": BOOL}`, then JPEG pictures, then the text "stop". It is answered
with JSON: for each picture that was looked at its landmarks, the count and what is said, at the end the report's page.
"""

import asyncio
import json
import threading
import time
from io import BytesIO
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect
from PIL import Image

from posellm_assets.app.shared import Shared
from posellm_assets.coaching.live.report import page_of, report_on
from posellm_assets.coaching.live.session import LiveSession, Moment
from posellm_assets.commands.coach import speaker
from posellm_assets.footage.live import CameraLost, Newest
from posellm_assets.poses.landmarks import LEFT_LINES, MIDDLE_LINES, RIGHT_LINES
from posellm_assets.problems import sentence

MOST_SESSIONS = 4
LONGEST_S = 3600.0
_MOST_PIXELS = 1280 * 720
_sessions = threading.BoundedSemaphore(MOST_SESSIONS)


async def coach_socket(socket: WebSocket, shared: Shared) -> None:
    """Hold one session with whoever opened the socket."""
    await socket.accept()
    if not _sessions.acquire(blocking=False):
        await socket.send_json({"error": f"{MOST_SESSIONS} sessions are held already; try again later"})
        await socket.close()
        return
    source, answers = Newest("of the browser"), asyncio.Queue[dict[str, Any] | None]()
    loop = asyncio.get_running_loop()

    def answer(said: dict[str, Any] | None) -> None:
        loop.call_soon_threadsafe(answers.put_nowait, said)

    worker: asyncio.Future[None] | None = None
    try:
        asked = json.loads(await socket.receive_text())
        worker = loop.run_in_executor(None, _hold, shared, source, asked, answer)
        reader = asyncio.create_task(_read(socket, source))
        while (said := await answers.get()) is not None:
            await socket.send_json(said)
        reader.cancel()
        await socket.close()
    except (WebSocketDisconnect, RuntimeError, ValueError):
        pass  # whoever was there has gone, or is no page of ours
    finally:
        source.end()
        if worker is not None:
            await worker
        _sessions.release()


async def _read(socket: WebSocket, source: Newest) -> None:
    """Take pictures in until the browser stops or goes."""
    started_s = time.monotonic()
    try:
        while time.monotonic() - started_s < LONGEST_S:
            message = await socket.receive()
            content = message.get("bytes")
            if content is None:
                break
            source.put(lambda content=content: _picture(content))  # type: ignore[misc]
    finally:
        source.end()


def _hold(shared: Shared, source: Newest, asked: dict[str, Any], answer: Any) -> None:
    """In a thread: the session, to its report."""
    try:
        lake, started_s = shared.lake, time.monotonic()
        exercise = str(asked.get("exercise") or "") or None
        who, rules, trained = speaker(lake.lake, lake.settings, exercise, bool(asked.get("rules")))
        session = LiveSession(source, lake.settings.poses, rules, trained)
        answer({"who": who, "lines": [*MIDDLE_LINES, *LEFT_LINES, *RIGHT_LINES], "middle": len(MIDDLE_LINES)})
        for moment in session.moments():
            answer(_told(moment))
        if session.frames:
            report = report_on(session, "camera of the browser", who, time.monotonic() - started_s)
            answer({"report": page_of(report, session, None), "latency": report.model_dump(mode="json")["latency"]})
    except (CameraLost, ValueError, OSError, RuntimeError) as error:
        answer({"error": sentence(error)})
    finally:
        answer(None)


def _told(moment: Moment) -> dict[str, Any]:
    landmarks = moment.sight.landmarks
    return {
        "exercise": moment.exercise,
        "count": moment.repetitions,
        "said": moment.remark and moment.remark.text,
        "landmarks": None if landmarks is None else np.round(landmarks[:, :2].astype(float), 4).tolist(),
    }


def _picture(content: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a JPEG picture. Raises ValueError for anything else, or where it is too large."""
    try:
        with Image.open(BytesIO(content), formats=["JPEG"]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"a picture of {picture.width} x {picture.height} is too large")
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError("the browser sent something that is no JPEG picture") from error
