"""A program that logs a step, trains until it is asked to stop, and takes a moment to save."""

import json
import time
from collections.abc import Callable
from typing import ClassVar, Literal

from posellm_assets.lake import LOSSES
from posellm_assets.program import Job, Preempted, Refusal, Report, claim_job, run_training


class Stoppable(Job):
    """What this program is given."""

    program: ClassVar[str] = "posellm_assets_tests.assets.stoppable"

    ends: Literal["well", "preempted", "refused", "broken"] = "preempted"


def train(job: Stoppable, report: Report, stop: Callable[[], bool]) -> None:
    """Log and wait; end as the job says once there is a file `stop`, or on a signal, having written `saved`."""
    entry = {"step": 1, "loss": 3.0, "lr": 1e-3, "clips_per_s": 4.0, "memory_mb": 9.0, "left_s": 60.0}
    (job.out / LOSSES).write_text(json.dumps(entry) + "\n")
    while not stop() and not (job.out / "stop").exists():
        time.sleep(0.02)
    time.sleep(0.3)
    (job.out / "saved").touch()
    if job.ends == "preempted":
        raise Preempted("the same command resumes")
    if job.ends == "refused":
        raise Refusal("clip 7 has no picture: remove it")
    assert job.ends == "well"


if __name__ == "__main__":
    job = claim_job(Stoppable)
    run_training("a training", lambda report, stop: train(job, report, stop))
