"""What waits and for what, as each sensor last saw it: a small file in the lake, for `posellm status`.

The sensors know the runs, and `status` does not know Dagster; a file that is old says that no sensor is looking.
"""

import time
from typing import Literal

from pydantic import ValidationError

from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.records import Record

Sensor = Literal["ingest", "training"]

OLD_S = 180.0
"""A sensor that has said nothing for so long does not run: Dagster ends a tick after a minute."""
_AGAIN_S = 60.0


class LastSaid(Record):
    """What a sensor said last."""

    at_s: float
    """In seconds since 1970."""
    said: list[str]
    """Sentences for the user; none where nothing waits."""


def keep_waiting(lake: Lake, sensor: Sensor, said: list[str]) -> None:
    """Keep what a sensor says now. A file that says so already is written again once a minute."""
    before, now_s = last_said(lake, sensor), time.time()
    if before is None or before.said != said or not 0 <= now_s - before.at_s < _AGAIN_S:
        write_json(lake.waiting(sensor), LastSaid(at_s=now_s, said=said).model_dump())


def last_said(lake: Lake, sensor: Sensor) -> LastSaid | None:
    """What a sensor said last; None where none has looked at this lake."""
    try:
        return LastSaid.model_validate(read_json(lake.waiting(sensor)))
    except (FileNotFoundError, ValidationError, ValueError):  # a damaged one is written again by the next tick
        return None
