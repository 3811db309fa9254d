"""Reading the files of the drop zone, each in a thread: a large file, or a slow disk, holds up neither a look at the
drop zone nor the files beside it, and nothing is read twice because a look could not wait for it."""

import threading
from pathlib import Path

from posellm_assets.footage.register import register
from posellm_assets.footage.registry import Outcome
from posellm_assets.lake import Lake

AT_ONCE = 3
"""Files that are read at the same time at most; more would only take the disk from each other."""

_at_work: dict[tuple[Path, str], "_Reading"] = {}
_lock = threading.Lock()


def registered_within(lake: Lake, path: str, seconds: float) -> Outcome | None:
    """The outcome of `register` where it is there within `seconds`, else None: it is read on meanwhile, and another
    call asks again, without waiting. Raises what `register` raises."""
    place = (lake.root.absolute(), path)
    with _lock:
        reading = _at_work.get(place)
        if reading is None:
            # What was read to its end while nobody asked is in the registry.
            for other in [other for other, one in _at_work.items() if not one.is_alive()]:
                del _at_work[other]
            if len(_at_work) >= AT_ONCE:
                return None
            reading = _at_work[place] = _Reading(lake, path)
            reading.start()
            wait_s = seconds
        else:
            wait_s = 0.0
    reading.join(wait_s)
    if reading.is_alive():
        return None
    with _lock:
        _at_work.pop(place, None)
    if reading.error:
        raise reading.error
    return reading.outcome


class _Reading(threading.Thread):
    """Registers one file. A daemon, so that the process may end at any time; nothing is then half registered."""

    def __init__(self, lake: Lake, path: str):
        super().__init__(name=f"reading {path}", daemon=True)
        self.lake, self.path = lake, path
        self.outcome: Outcome | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.outcome = register(self.lake, self.path)
        except Exception as error:  # noqa: BLE001 - raised again where the outcome is asked for
            self.error = error
