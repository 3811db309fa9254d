"""Why a video did not get through a step: one small file for each, gone again when the step succeeds.

A problem is a sentence for the user. It outlives the run that met it, so that `posellm status` and the steps
downstream can say why a video is not there without reading old logs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from posellm_assets.checksums import forget, recording
from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.records import Record

Item = TypeVar("Item")
Result = TypeVar("Result")


class Problem(Record):
    """One video that one step could not use or make."""

    key: str
    step: str
    reason: str


def record_problem(lake: Lake, problem: Problem) -> None:
    """Keep `problem` until its step succeeds for the video."""
    path = lake.problem(problem.step, problem.key)
    with recording(lake, path):
        write_json(path, problem.model_dump())


def clear_problem(lake: Lake, step: str, key: str) -> None:
    """Forget what kept the video from passing `step`."""
    path = lake.problem(step, key)
    forget(lake, [path])
    path.unlink(missing_ok=True)


def find_problem(lake: Lake, step: str, key: str) -> Problem | None:
    """What kept the video from passing `step`, or None."""
    path = lake.problem(step, key)
    return _read(path) if path.exists() else None


def troubled(lake: Lake) -> set[str]:
    """The keys of everything with a recorded problem, from the names in the lake."""
    return {path.stem for path in lake.recorded_problems()}


def all_problems(lake: Lake) -> list[Problem]:
    """Every recorded problem, by step and key."""
    return [_read(path) for path in lake.recorded_problems()]


def attempted(work: Callable[[Item], Result], item: Item) -> Result | Exception:
    """What `work` makes of one item, or the exception that it raised: the frame around a clip's work.

    Whatever the files of one clip hold must stop no other, so that everything is caught here, and only here.
    """
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001
        return error


def sentence(error: Exception) -> str:
    """An exception as the reason of a problem."""
    if isinstance(error, OSError) and error.strerror:
        # A file that was opened beside a folder's descriptor has a number for a name.
        return f"{error.filename}: {error.strerror}" if isinstance(error.filename, str) else error.strerror
    known = isinstance(error, (ValueError, OSError, RuntimeError))
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _read(path: Path) -> Problem:
    """A recorded problem. Of a damaged file the names in the lake still say what did not pass which step."""
    try:
        return Problem.model_validate(read_json(path))
    except (ValidationError, ValueError, OSError) as error:
        step, key = path.parts[-3], path.stem
        return Problem(key=key, step=step, reason=f"the reason is lost ({sentence(error)}); materialize {step} again")
