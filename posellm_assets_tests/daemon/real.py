"""The daemon as `make ui` starts it, and waiting for what it does."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from posellm_assets_tests.waits import HANG_S

Found = TypeVar("Found")


@dataclass(frozen=True)
class Daemon:
    """A running daemon and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, what: str, look: Callable[[], Found]) -> Found:
        """What `look` finds as soon as it finds something; fails with the daemon's log where it does not."""
        deadline = time.monotonic() + HANG_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.5)
        raise AssertionError(f"no {what} after {HANG_S:.0f} s. The daemon says:\n{self.log.read_text()[-6000:]}")


@contextmanager
def running_daemon(lake: Path, home: Path, log: Path, **settings: str) -> Iterator[Daemon]:
    """The daemon on a lake and a Dagster home; `settings` go into its environment as `POSELLM_*`."""
    environment = {**os.environ, "DAGSTER_HOME": str(home), "POSELLM_LAKE": str(lake)}
    environment |= {f"POSELLM_{name}": value for name, value in settings.items()}
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "posellm_assets.definitions"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield Daemon(process, log)
        finally:
            process.terminate()
            process.wait(HANG_S)
