"""Why a video did not get through a step: one small file for each, gone again when the step succeeds.

A problem is a sentence for the user. It outlives the run that met it, so that `posellm status` and the steps
downstream can say why a video is not there without reading old logs.
"""

from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.records import Record


class Problem(Record):
    """One video that one step could not use or make."""

    key: str
    step: str
    reason: str


def record_problem(lake: Lake, problem: Problem) -> None:
    """Keep `problem` until its step succeeds for the video."""
    write_json(lake.problem(problem.step, problem.key), problem.model_dump())


def clear_problem(lake: Lake, step: str, key: str) -> None:
    """Forget what kept the video from passing `step`."""
    lake.problem(step, key).unlink(missing_ok=True)


def find_problem(lake: Lake, step: str, key: str) -> Problem | None:
    """What kept the video from passing `step`, or None."""
    path = lake.problem(step, key)
    return Problem.model_validate(read_json(path)) if path.exists() else None


def troubled(lake: Lake) -> set[str]:
    """The keys of everything with a recorded problem, from the names in the lake."""
    return {path.stem for path in lake.recorded_problems()}


def all_problems(lake: Lake) -> list[Problem]:
    """Every recorded problem, by step and key."""
    return [Problem.model_validate(read_json(path)) for path in lake.recorded_problems()]
