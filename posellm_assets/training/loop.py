"""The loop of every training: find what is there, resume, step, save, stop when asked to, finish.

A trainer gives data, one step and an evaluation, and reads like this:

    with together() as processes:
        run = Run(plan, processes, report, stop)
        if run.result:
            return run.result                         # finished before
        model, optimizer = ...                        # what `run.checkpoint` remembers may decide how
        run.begin(Trained(weights, optimizer), rows, evaluation)
        for step in run.steps():
            loss = ...                                # with its gradient, of this process's share
            run.update(loss, keys, tokens=...)
        return run.finish(write, {...})

`out` then holds `checkpoint-N/`, `losses.jsonl` (a line per step), `final/` (the model) and, last, `result.json`. A job
that is killed at any moment and started again ends with the same weights as one that never stopped: on a CPU, with the
same threads and processes, to the bit.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from posellm_assets import files
from posellm_assets.lake import FINAL, LOSSES, RESULT
from posellm_assets.program import Preempted, Refusal, Report
from posellm_assets.training import checkpoints, record, state
from posellm_assets.training.curves import Entry, entries_of
from posellm_assets.training.plan import Evaluation, Place, Plan
from posellm_assets.training.position import Best, Position
from posellm_assets.training.processes import Processes
from posellm_assets.training.saving import PREEMPTION_S, SavePoints, Saves
from posellm_assets.training.state import Trained

SAY_EVERY_S = 10.0
# On a GPU the losses are read about so often: each reading waits for all that the device still has to do.
_READ_EVERY_S = 1.0
_MOST_UNREAD = 50


class NonFiniteLoss(Refusal):
    """The loss or its gradient became NaN or infinite; the message names the clips of the step."""


@dataclass(frozen=True)
class _Step:
    """A step whose loss has not been read yet: numbers that are still on the device, and what was before it."""

    number: int
    learning_rate: float
    numbers: Mapping[str, torch.Tensor]
    keys: tuple[str, ...]
    counts: Mapping[str, int]
    before: "_Before"


@dataclass(frozen=True)
class _Before:
    """What a step changes besides weights and moments, as it was before."""

    place: Any
    memory: Mapping[str, torch.Tensor]
    clock_s: float
    cpu_s: float


@dataclass
class Run:
    """One training from its start, or from where it was killed, to its end.

    Raises CheckpointMismatch where `out` or the store belongs to another job, and Refusal where the store cannot be
    asked and nothing is here.
    """

    plan: Plan
    processes: Processes
    report: Report
    stop: Callable[[], bool] = lambda: False
    result: dict[str, Any] | None = None
    """What `result.json` holds, where the job is finished already."""
    checkpoint: state.Checkpoint | None = None
    """What is resumed from."""
    losses: list[Entry] = field(default_factory=list)
    _unread: list[_Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started_s = time.perf_counter()
        torch.set_num_threads(self.plan.threads)
        self.say: Report = self.report if self.processes.first else lambda message: None
        self._saves = Saves(self.plan.out, self.plan.hub if self.processes.first else None, self.say)
        self.result = self._finished()
        if self.result is None:
            self._newest = self._find()
            self.checkpoint = state.read(self._newest) if self._newest else None

    # --- What is there of the job already

    def _finished(self) -> dict[str, Any] | None:
        path = self.plan.out / RESULT
        if not path.is_file():
            return None
        result: dict[str, Any] = files.read_json(path)
        if different := checkpoints.differences(result["identity"], self.plan.identity):
            if not self.plan.replaces_others:
                checkpoints.refuse(different, str(self.plan.out))
            self.say(f"{path} is of another job and is replaced: {checkpoints.named(different)}")
            return None
        self.say(f"{self.plan.name} is finished already: {self.plan.out / FINAL}")
        behind = self.processes.first and self._saves.is_behind(result["store"], result["steps"])
        if behind and (newest := checkpoints.newest_valid(self.plan.out, self.say)):
            self._saves.copy(self.plan.card(checkpoints.read_position(newest), entries_of(newest / LOSSES)))
            result["store"] = self._saves.finish()
            files.write_json(path, result)
        return result

    def _find(self) -> Path | None:
        newest = self._saves.newest(self._unfit) if self.processes.first else None
        self.processes.wait()
        newest = newest if self.processes.first else checkpoints.newest_valid(self.plan.out, self.say)
        if newest and self.processes.first:
            record.restore_start(newest, self.plan.out)
        self.processes.wait()
        return newest

    def _unfit(self, position: Position, where: str) -> str | None:
        different = checkpoints.differences(position.identity, self.plan.identity)
        if position.broke:
            # What broke a step may have been put right since; what makes the model what it is may not have changed.
            different = {name: what for name, what in different.items() if not re.match(self.plan.cures, name)}
        if different and self.plan.replaces_others:
            return f"it is of another job: {checkpoints.named(different)}"
        checkpoints.refuse(different, where)
        return None

    # --- Where to begin, or to resume

    def begin(
        self,
        trained: Trained,
        data: Place | None = None,
        evaluation: Evaluation | None = None,
        about: Callable[[], dict[str, Any]] = dict,
        start: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        """Set all that is trained to where the checkpoint left it; without one, all stays as it is.

        `about()` is what the trainer wants to find in `position.about` ever after; it is asked once, before the
        first step. `start(folder)` writes into a checkpoint what training began from.
        """
        self._trained, self._data, self._evaluation, self._start = trained, data, evaluation, start
        self._broken = torch.zeros((), device=self.processes.device)
        if self.checkpoint:
            self._resume(self.checkpoint)
        else:
            self.position = Position(identity=self.plan.identity, code=self.plan.code, about=about())
        self.losses = record.restore_losses(self._newest, self.plan.out, write=self.processes.first)
        if self.checkpoint and self.processes.first:
            self._saves.copy(self._card(), self._kept())  # what was killed before it had arrived

    def _resume(self, checkpoint: state.Checkpoint) -> None:
        before, identity = checkpoint.position, self.plan.identity
        changed = list(checkpoints.differences(before.identity, identity).values())
        now = {"identity": identity, "code": self.plan.code, "broke": False, "changed": [*before.changed, *changed]}
        self.position = before.model_copy(update=now)
        if before.code != self.plan.code:
            changed.append("the code that trains is another than that of the checkpoint")
        if self._keeps_best and before.best.step and self.processes.first:
            self._saves.bring(before.best.step)
        self.processes.wait()
        self._trained.restore(checkpoint)
        if self._data:
            self._data.seek(before.place)
        self.say("; ".join([f"resumes from step {before.step} of {self.plan.steps}", *changed]))

    # --- Steps

    def steps(self) -> Iterator[int]:
        """The steps that are left, counted from 1; after each the trainer calls `update`, once.

        Between them everything is evaluated, logged and saved that is due. After the last one the best weights are in
        place, where evaluations choose them. Raises NonFiniteLoss with the state before that step saved, and Preempted
        after saving where `stop()` says so.
        """
        points = SavePoints(self.plan.steps, self.plan.checkpoint_every, self.plan.checkpoint_minutes)
        self._began_s, self._began_at = time.perf_counter(), self.position.step
        said_s, read_next, step = -math.inf, self._began_at + 1, self._began_at
        while step < self.plan.steps and not self._out_of_patience():
            # Several processes ask one another where they read their losses: a question between waits for the device.
            if self.processes.any(self.stop()) if not self._unread else self.processes.count == 1 and self.stop():
                self._preempt()
            step += 1
            self._learning_rate = self._trained.set_learning_rate(self.plan.learning_rate(step))
            self._before = self._now()
            yield step
            scored = self._evaluation is not None and self._evaluation.at(step)
            if not (scored or points.at(step) or step >= read_next or step == self.plan.steps):
                continue
            self._read(scored)
            due, unread = self.processes.from_first((float(points.due(step)), self._steps_between_readings()))
            read_next = step + int(unread)
            if scored or step == self.plan.steps or time.perf_counter() - said_s >= SAY_EVERY_S:
                said_s = time.perf_counter()
                self.say(f"{self.plan.name} step {step}/{self.plan.steps}: {record.in_words(self.losses[-1])}")
            is_best = self._keeps_best and self.position.best.step == step
            if due or is_best or self._out_of_patience():
                self._save()
        if self._keeps_best and self.position.best.step:
            self._trained.restore_weights(state.read_step(self.plan.out, self.position.best.step))

    def update(
        self, loss: torch.Tensor, keys: Collection[str], logged: Mapping[str, torch.Tensor] | None = None, **counts: int
    ) -> None:
        """Change the weights by the gradients of this process's part of the step's `loss`, a scalar.

        Loss and gradients are summed over the processes. `keys` name what was learned from where the loss is not a
        number; `logged` scalars and the rates of `counts` stand beside the loss in `losses.jsonl`. Nothing waits for
        the device here: the optimizer itself leaves out a step that is not finite, and all after it.
        """
        weights = list(self._trained.weights.values())
        self.processes.add_up([loss, *(weight.grad for weight in weights if weight.grad is not None)])
        norm = torch.nn.utils.clip_grad_norm_(weights, self.plan.max_gradient_norm)
        self._broken = torch.maximum(self._broken, (~torch.isfinite(loss + norm)).to(self._broken))
        self._trained.step(self._broken)
        numbers = {"loss": loss, "grad_norm": norm, **(logged or {})}
        number = self.position.step + len(self._unread) + 1
        self._unread.append(_Step(number, self._learning_rate, numbers, tuple(keys), counts, self._before))

    def _now(self) -> _Before:
        place = self._data.place() if self._data else None
        return _Before(place, self._trained.memory(), time.perf_counter(), time.process_time())

    def _read(self, scored: bool) -> None:
        """Log what the unread steps gave, the last with its evaluation where it is `scored`."""
        steps, self._unread = self._unread, []
        names = list(steps[0].numbers)
        values = torch.stack([step.numbers[name].detach().float() for step in steps for name in names]).tolist()
        seconds = (time.perf_counter() - steps[0].before.clock_s) / len(steps)
        cpu_seconds = (time.process_time() - steps[0].before.cpu_s) / len(steps)
        for index, step in enumerate(steps):
            numbers = dict(zip(names, values[index * len(names) :], strict=False))
            if not math.isfinite(numbers["loss"] + numbers["grad_norm"]):
                self._break(step, numbers)
            position = self.position
            position.step = step.number
            position.seconds += seconds
            position.cpu_seconds += cpu_seconds
            for name, count in step.counts.items():
                position.counts[name] = position.counts.get(name, 0) + count
            entry = {
                "step": step.number,
                "loss": numbers.pop("loss"),
                "lr": step.learning_rate,
                **numbers,
                **{f"{name}_per_s": round(count / seconds, 2) for name, count in step.counts.items()},
                "memory_mb": record.peak_memory_mb(self.processes.device),
                "left_s": self._left_s(step.number),
            }
            if scored and step is steps[-1]:
                entry |= self._evaluate()
            self.losses.append(entry)
            if self.processes.first:
                record.append_loss(self.plan.out, entry)

    def _evaluate(self) -> Mapping[str, float]:
        assert self._evaluation
        found, best = self._evaluation.score(), self.position.best
        if math.isfinite(found.value) and (best.score is None or found.value < best.score):
            self.position.best = Best(step=self.position.step, score=found.value, about=found.about)
            self.position.evaluations_since_best = 0
        else:
            self.position.evaluations_since_best += 1
        return found.logged

    def _left_s(self, step: int) -> float:
        """About how long the rest takes, as long as this start took for what it did."""
        return round((time.perf_counter() - self._began_s) / (step - self._began_at) * (self.plan.steps - step), 1)

    def _steps_between_readings(self) -> float:
        if self.processes.device.type == "cpu" or self._trained.has_memory:
            return 1.0  # nothing is waited for; and memory is kept of one step only
        step_s = self.position.seconds / self.position.step
        return min(max(1.0, _READ_EVERY_S // step_s), _MOST_UNREAD)

    @property
    def _keeps_best(self) -> bool:
        return self._evaluation is not None and self._evaluation.keep_best

    def _out_of_patience(self) -> bool:
        patience = self._evaluation.patience if self._evaluation else None
        return patience is not None and self.position.evaluations_since_best >= patience

    # --- Saving, stopping, breaking

    def _kept(self) -> list[int]:
        return [self.position.best.step] if self._keeps_best else []

    def _card(self) -> str:
        return self.plan.card(self.position, self.losses)

    def _save(self) -> None:
        if self.processes.first:
            self.position.place = self._data.place() if self._data else None
            now = self._trained.checkpoint(self.position)

            def fill(folder: Path) -> None:
                state.fill(folder, now, self.plan.out / LOSSES, self._start)

            self._saves.write(self.position.step, fill, self._card(), self._kept())
        self.processes.wait()

    def _preempt(self) -> None:
        if self._unread:
            self._read(scored=False)
        if self.processes.any(self.processes.first and self._saves.saved != self.position.step):
            self._save()
        self._saves.finish(PREEMPTION_S)
        where = "could not save: the same command begins again"
        if self._saves.saved is not None:
            where = f"saved: the same command resumes from step {self._saves.saved} of {self.plan.steps}"
        raise Preempted(f"{self.plan.name} was asked to stop and {where}")

    def _break(self, step: _Step, numbers: Mapping[str, float]) -> None:
        if self._data:
            self._data.seek(step.before.place)
        self._trained.remember(step.before.memory)
        self.position.broke = True
        self._save()
        self._saves.finish(PREEMPTION_S)
        raise NonFiniteLoss(
            f"the loss is {numbers['loss']:.4g} and its gradient's norm {numbers['grad_norm']:.4g} at step "
            f"{step.number}, on: {', '.join(sorted(set(step.keys)))}. The state before this step is in "
            f"{checkpoints.folder_of(self.plan.out, step.number - 1)}: {self.plan.remedy}, and start the same command "
            "again, which resumes there (or from the checkpoint before it, if you remove that one)"
        )

    # --- The end

    def finish(self, write: Callable[[Path], object], result: Mapping[str, Any]) -> dict[str, Any]:
        """Write `final/`, whole, by `write(folder)`, and `result.json`: what all trainings tell, and `result`.

        Raises Refusal where the disk is full.
        """
        position, final = self.position, self.plan.out / FINAL
        tail = [entry["loss"] for entry in self.losses[-max(1, len(self.losses) // 10) :]]
        told: dict[str, Any] = {
            "identity": self.plan.identity,
            "changed": position.changed,
            "seed": self.plan.seed,
            "steps": position.step,
            "best_step": (position.best.step if self._keeps_best else 0) or position.step,
            "first_loss": self.losses[0]["loss"],
            "final_loss": sum(tail) / len(tail),
            "final_loss_steps": len(tail),
            "counts": position.counts,
            **{f"{name}_per_s": round(count / position.seconds, 1) for name, count in position.counts.items()},
            "step_seconds": round(position.seconds, 2),
            "step_cpu_seconds": round(position.cpu_seconds, 2),
            "seconds_of_last_start": round(time.perf_counter() - self.started_s, 2),
            "peak_memory_mb": record.peak_memory_mb(self.processes.device),
            "trained_parameters": sum(weight.numel() for weight in self._trained.weights.values()),
            "device": torch.cuda.get_device_name() if self.processes.device.type == "cuda" else "cpu",
            "threads": self.plan.threads,
            "processes": self.processes.count,
            "versions": record.versions(),
            "code": self.plan.code,
            **result,
        }
        if self.processes.first:
            try:
                with files.whole_folder(final) as folder:
                    write(folder)
            except (OSError, SafetensorError) as error:
                raise Refusal(
                    f"{final} cannot be written: {error}. Make room and start the same command again"
                ) from error
            record.remove_start(self.plan.out)
            told["store"] = self._saves.finish()
            files.write_json(self.plan.out / RESULT, told)
        self.processes.wait()
        self.say(f"{self.plan.name} is finished: loss {told['first_loss']:.3f} -> {told['final_loss']:.3f}")
        return told
