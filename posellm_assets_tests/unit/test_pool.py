"""Mapping work over processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posellm_assets.pool import ITEMS_PER_WORKER, LocalPool, WorkerDied
from posellm_assets_tests.clips import write_clip


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    return os.getpid()


def troublesome(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        raise ValueError("four is not welcome")
    return number


def unpicklable(_: int) -> object:
    return lambda: None


def first_waits(item: tuple[Path, int]) -> None:
    """Item 0 waits for item 2, which begins when item 1 has come back."""
    folder, number = item
    (folder / str(number)).touch()
    while number == 0 and not (folder / "2").exists():
        time.sleep(0.01)


def test_every_item_comes_back_once_with_its_result() -> None:
    assert dict(LocalPool(2).map(square, range(20))) == {number: number * number for number in range(20)}


def test_what_is_done_first_comes_back_first(tmp_path: Path) -> None:
    order = [item[1] for item, _ in LocalPool(2).map(first_waits, [(tmp_path, number) for number in range(3)])]
    assert order[0] == 1 and sorted(order) == [0, 1, 2]


def test_a_killed_worker_costs_only_its_own_item() -> None:
    outcomes = dict(LocalPool(2).map(troublesome, range(8)))
    died = outcomes.pop(2)
    raised = outcomes.pop(4)
    assert isinstance(died, WorkerDied)
    assert "for 2 was killed by SIGKILL" in str(died)
    assert isinstance(raised, ValueError)
    assert str(raised) == "four is not welcome"
    assert outcomes == {number: number for number in (0, 1, 3, 5, 6, 7)}


def test_a_result_that_cannot_be_sent_is_an_error_and_not_a_hang() -> None:
    ((_, outcome),) = LocalPool(1).map(unpicklable, [1])
    assert isinstance(outcome, RuntimeError)
    assert "cannot be sent between processes" in str(outcome)


def test_workers_are_replaced_before_native_leaks_add_up() -> None:
    processes = [outcome for _, outcome in LocalPool(1).map(process_id, range(ITEMS_PER_WORKER + 1))]
    assert len(set(processes)) == 2


def test_items_are_drawn_as_workers_become_free() -> None:
    drawn = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            drawn.append(number)
            yield number
            number += 1

    results = LocalPool(2).map(square, endless())
    for _ in range(5):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 5 + 2 + 2


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        LocalPool(0)


@pytest.mark.parametrize(
    "module",
    ["pool", "poses.config", "poses.poses", "poses.quality", "poses.subjects", "poses.models", "poses.extract"],
)
def test_importing_this_loads_no_mediapipe(module: str) -> None:
    code = f"import sys, posellm_assets.{module}; print([m for m in ('mediapipe', 'torch', 'cv2') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


@pytest.mark.parametrize(
    "script",
    [
        "import posellm_assets.pool as pool; print(dict(pool.LocalPool(2).map(abs, [-1, 2])))",
        "from pathlib import Path; from posellm_assets.poses.config import PoseConfig\n"
        "from posellm_assets.poses.extract import poses_of\n"
        "try: poses_of(Path('clip.mp4'), PoseConfig())\n"
        "except ValueError as error: print(error)",
    ],
)
def test_a_script_without_a_main_guard_runs_once_and_works(tmp_path: Path, script: str) -> None:
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "script.py").write_text(f"print('runs')\n{script}\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    runs, found = done.stdout.splitlines()
    assert runs == "runs" and ("-1: 1" in found or "No person in view in 100% of 6 frames" in found)
