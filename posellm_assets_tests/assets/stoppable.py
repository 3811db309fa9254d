"""A program that logs a step, trains until it is asked to stop, and takes a moment to save."""

import json
import sys
import time
from typing import ClassVar

from posellm_assets.lake import LOSSES
from posellm_assets.program import PREEMPTED, Job, asked_to_stop, read_config


class Stoppable(Job):
    """What this program is given."""

    program: ClassVar[str] = "posellm_assets_tests.assets.stoppable"

    status: int = PREEMPTED
    """How it ends."""


def main() -> None:
    """Log and wait; end once the file `stop` is there, or on a signal, having written `saved`."""
    job = read_config(Stoppable)
    entry = {"step": 1, "loss": 3.0, "lr": 1e-3, "clips_per_s": 4.0, "memory_mb": 9.0, "left_s": 60.0}
    with asked_to_stop() as stop:
        (job.out / LOSSES).write_text(json.dumps(entry) + "\n")
        while not stop() and not (job.out / "stop").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        (job.out / "saved").touch()
    sys.exit(job.status)


if __name__ == "__main__":
    main()
