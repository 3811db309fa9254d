"""When training saves, what becomes of a save, and from which one it resumes.

A checkpoint is written to the training's own folder and copied to the store by a thread while training goes on. The
store gets what the folder keeps: a copy that failed is made up for with the next one.
"""

import shutil
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posellm_assets.program import Refusal, Report
from posellm_assets.training import checkpoints
from posellm_assets.training.position import Position
from posellm_assets.training.store import CheckpointStore, StoreError, open_store, without_token

# Machines that are taken away give half a minute; the rest is for the save itself.
PREEMPTION_S = 20.0


class SavePoints:
    """Half and end of `steps`, and on request every so many steps or minutes."""

    def __init__(self, steps: int, every: int | None, minutes: float | None):
        self._steps, self._every, self._minutes = steps, every, minutes
        self._saved_s = time.monotonic()

    def at(self, step: int) -> bool:
        """Whether to save after `step`, whatever the time."""
        return step in (max(1, self._steps // 2), self._steps) or bool(self._every and step % self._every == 0)

    def due(self, step: int) -> bool:
        """Whether to save after `step` now; the minutes until the next time count from there."""
        due = self.at(step) or bool(self._minutes and time.monotonic() - self._saved_s >= 60 * self._minutes)
        if due:
            self._saved_s = time.monotonic()
        return due


@dataclass
class Saves:
    """The checkpoints of one training: in its folder `out`, and from there in the store at `url`, if there is one."""

    out: Path
    url: str | None
    report: Report
    warnings: list[str] = field(default_factory=list)
    saved: int | None = None  # the step of the newest checkpoint that is written whole
    stored: int | None = None  # the same in the store, as far as this process knows
    _wanted: tuple[Path, ...] = ()
    _copying: tuple[Path, ...] = ()
    _rejected: set[int] = field(default_factory=set)
    _unsaid: list[str] = field(default_factory=list)
    _card: str = ""
    _keep: Collection[int] | None = None  # beside the newest two; None where nothing is to be removed

    def __post_init__(self) -> None:
        self._store: CheckpointStore | None = open_store(self.url) if self.url else None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def newest(self, unfit: Callable[[Position, str], str | None]) -> Path | None:
        """The newest valid checkpoint among those here and in the store, put into `out`; None where there is none.

        `unfit(position, where)` says why one is passed over, or raises. Raises Refusal where the store cannot be asked
        and nothing is here: training again from the beginning is for a person to choose.
        """
        here = self._newest_here(unfit)
        have = checkpoints.step_of(here.name) if here else None
        try:
            fetched = self._newest_in_store(-1 if have is None else have, unfit)
        except StoreError as error:
            if here is None:
                raise Refusal(
                    f"there is no checkpoint in {self.out}, and whether the store has one cannot be found out: "
                    f"{error}. Put that right and start again, or set `hub` to another place"
                ) from None
            self._warn(f"whether the store has a newer checkpoint than {here.name} could not be found out: {error}")
            fetched = None
        newest = fetched or here
        self.saved = checkpoints.step_of(newest.name) if newest else None
        for step in checkpoints.steps(self.out):
            if self.saved is None or step > self.saved:  # broken, and would stand in the place of a newer one
                checkpoints.remove(checkpoints.folder_of(self.out, step))
        if newest and self._store:
            why = f"newer than {here.name} here" if here else "there is none here"
            reason = f"{newest.name} of {self.url}: {why}" if fetched else f"{newest.name}: the store has no newer one"
            self.report(f"takes {reason}")
        return newest

    def bring(self, step: int) -> None:
        """Have the checkpoint of an earlier `step` here too; raises Refusal where neither place has it whole."""
        problem = checkpoints.problem(checkpoints.folder_of(self.out, step))
        if problem and self._store:
            try:
                problem = self._fetch(step, lambda position, where: None)
            except StoreError as error:
                problem = str(error)
        if problem:
            raise Refusal(
                f"checkpoint-{step} is needed and cannot be used: {problem}. Remove {self.out} and train again"
            )

    def write(self, step: int, fill: Callable[[Path], None], card: str, keep: Collection[int] = ()) -> bool:
        """Write the checkpoint of `step` and begin to copy it to the store; whether there was room for it.

        Keeps the newest two and those of `keep`. Where the disk is full the older ones stay, with a warning.
        """
        self._say()
        try:
            checkpoints.write(self.out, step, fill)
        except OSError as error:
            self._warn(f"checkpoint-{step} could not be written, {self._kept()}: {error}")
            return False
        self.saved = step
        self.copy(card, keep)
        return True

    def copy(self, card: str, keep: Collection[int] | None = None) -> None:
        """Begin to copy to the store what it lacks of the newest two and of those of `keep`.

        Older ones are removed here where `keep` is given: a kill may have come between a save and their removal.
        """
        self._keep = keep
        self._prune()
        if self._store is None:
            return
        steps = checkpoints.steps(self.out)
        if self.saved is not None and self.saved == self.stored and len(steps) < checkpoints.KEEP:
            return  # what came from the store alone would push the one before it out of there
        kept = [step for place, step in enumerate(steps) if place < checkpoints.KEEP or step in (keep or ())]
        with self._lock:
            self._wanted, self._card = tuple(checkpoints.folder_of(self.out, step) for step in kept), card
            if self._thread is None:
                self._thread = threading.Thread(target=self._copy_all, name="checkpoint copies", daemon=True)
                self._thread.start()

    def finish(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the last copy, for `timeout_s` at most; what became of the copies, for the record."""
        thread = self._thread
        if thread:
            thread.join(timeout_s)
            if thread.is_alive():
                self._warn(f"{self.url}: checkpoint-{self.saved} was still on its way; the copy here is whole")
        self._prune()
        self._say()
        return {"url": self.url, "newest": self.stored, "warnings": list(self.warnings)}

    def is_behind(self, record: dict[str, Any] | None, step: int) -> bool:
        """Whether the store lacks the last checkpoint, of `step`, of a training whose `finish` left `record`."""
        return self.url is not None and (record is None or (record["url"], record["newest"]) != (self.url, step))

    def _newest_here(self, unfit: Callable[[Position, str], str | None]) -> Path | None:
        checkpoints.clear(self.out)
        here = checkpoints.newest_valid(self.out, self.report)
        if here is None:
            return None
        try:
            position = checkpoints.read_position(here)
        except ValueError as error:
            raise checkpoints.CheckpointMismatch(str(error)) from error
        reason = unfit(position, str(self.out))
        if reason is None:
            return here
        self.report(f"{here.name} in {self.out} is passed over: {reason}")
        for step in checkpoints.steps(self.out):
            checkpoints.remove(checkpoints.folder_of(self.out, step))
        return None

    def _newest_in_store(self, newer_than: int, unfit: Callable[[Position, str], str | None]) -> Path | None:
        for step in self._store.steps() if self._store else []:
            if step <= newer_than:
                if step == newer_than:
                    self.stored = step
                return None
            problem = self._fetch(step, unfit)
            if problem is None:
                self.stored = step
                return checkpoints.folder_of(self.out, step)
            self._rejected.add(step)
            self.report(f"checkpoint-{step} of {self.url} is passed over: {problem}")
        return None

    def _fetch(self, step: int, unfit: Callable[[Position, str], str | None]) -> str | None:
        """Put a checkpoint of the store into `out`, or say why not."""
        assert self._store and self.url
        temporary = self.out / f".checkpoint-{step}.tmp"
        try:
            self._store.fetch(step, temporary)
            problem = checkpoints.problem(temporary) or unfit(checkpoints.read_position(temporary), self.url)
            if problem is None:
                checkpoints.put_in_place(temporary, checkpoints.folder_of(self.out, step))
            return problem
        except checkpoints.CheckpointMismatch:
            raise
        except ValueError as error:
            return str(error)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _copy_all(self) -> None:
        """The thread: copies until nothing newer is wanted."""
        while True:
            with self._lock:
                self._copying, self._wanted, card = self._wanted, (), self._card
                if not self._copying:
                    self._thread = None
                    return
                rejected = set(self._rejected)
            newest = checkpoints.step_of(self._copying[0].name)
            try:
                assert self._store
                self._store.push(self._copying, rejected, card)
            except Exception as error:  # noqa: BLE001 whatever goes wrong with a copy, training goes on
                self._unsaid.append(f"{self._copying[0].name} could not be stored: {without_token(str(error))}")
            else:
                self.stored = newest
                self._rejected -= rejected

    def _prune(self) -> None:
        """Remove what is neither among the newest two, nor to be kept, nor on its way to the store."""
        if self._keep is None:
            return
        with self._lock:
            busy = {checkpoints.step_of(folder.name) for folder in self._copying}
        checkpoints.prune(self.out, {*self._keep, *(step for step in busy if step is not None)})

    def _say(self) -> None:
        """Report what the thread met, from the thread whose report it is."""
        while self._unsaid:
            self._warn(self._unsaid.pop(0))

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        self.report(f"warning: {message}")

    def _kept(self) -> str:
        return "nothing is saved yet" if self.saved is None else f"checkpoint-{self.saved} is kept"
