"""Train a vision-language model, read from top to bottom: job, data, model, steps, the finished model.

What is asked and answered comes from the job's `Questions`: `posellm_assets.actions.train` trains one to name actions,
`posellm_assets.coaching.model.vision_train` one to coach.

Writes into the job's `out`: `checkpoint-N/`, `losses.jsonl` (a line per step), `final/` (the model) and, last,
`result.json`. What is drawn at a step follows from the job's seed and the step alone, so that a killed and restarted
job ends like one that never stopped: on a CPU, with the same threads and processes, to the bit.
"""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posellm_assets import files
from posellm_assets.program import Preempted, Refusal, Report
from posellm_assets.training import backends
from posellm_assets.training.checkpoints import check_identity, newest_valid
from posellm_assets.training.saving import PREEMPTION_S, Saves
from posellm_assets.vision.config import VisionJob

if TYPE_CHECKING:
    from posellm_assets.vision.learning import Questions


class NonFiniteLoss(Refusal):
    """The loss or its gradient became NaN or infinite; the message names the clips of the step."""


def train_on(
    questions: "Questions", job: VisionJob, backend: backends.Backend, report: Report, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnusableDataset, UnsupportedModel or BackendUnavailable where data or model do not fit the job,
    CheckpointMismatch where `out` or the store belongs to another one, NonFiniteLoss, and Preempted after saving where
    `stop()` says so.
    """
    import torch

    from posellm_assets.actions.dataset.clips import UnusableDataset
    from posellm_assets.language import record
    from posellm_assets.training import optimizer, state
    from posellm_assets.training.processes import together
    from posellm_assets.vision.learning import Learner, Schedule, start
    from posellm_assets.vision.record import card, identity, save_start, write_final

    with together() as processes:
        # --- What this job is, and what is there of it already
        started = time.perf_counter()
        torch.set_num_threads(job.threads)
        training, device = job.training, processes.device
        say: Report = report if processes.first else lambda message: None
        this = identity(job, questions)
        saves = Saves(job.out, job.hub if processes.first else None, say)
        result_file = job.out / "result.json"
        if result_file.is_file():
            result: dict[str, Any] = files.read_json(result_file)
            check_identity(result["identity"], this, str(job.out))
            say(f"the model is finished already: {job.out / 'final'}")
            return result

        def unfit(position: dict[str, Any], where: str) -> None:
            check_identity(position["identity"], this, where)

        newest = saves.newest(unfit) if processes.first else None
        if newest:
            record.restore_start(newest, job.out)
        processes.wait()
        newest = newest if processes.first else newest_valid(job.out, say)
        checkpoint = state.read(newest) if newest else None

        # --- Data and model
        per_step = training.clips_per_batch * training.batches_per_step
        if per_step < processes.count:
            raise UnusableDataset(f"{processes.count} processes cannot share {per_step} clips of a step: raise them")
        schedule = Schedule.of(training, questions.clips)
        bf16 = processes.in_bf16(job.model.precision)
        loaded = start(job, questions, backend, bf16, processes)
        if training.gradient_checkpointing:
            loaded.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        learner = Learner(loaded, bf16, processes)
        trained = {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}
        adamw = optimizer.adamw(trained, schedule)

        # --- Where to go on
        position: dict[str, Any]
        if checkpoint:
            position = checkpoint.position
            optimizer.restore(checkpoint, trained, adamw)
            if position["best"]["step"] and processes.first:
                saves.bring(position["best"]["step"])
            say(f"goes on from step {position['step']} of {schedule.steps}")
        else:
            position = {"identity": this, "step": 0, "seconds": 0.0, "best": {"step": 0, "val": None}}
        losses = record.restore_losses(newest, job.out / "losses.jsonl", write=processes.first)
        parameters = {True: 0, False: 0}
        for weight in loaded.model.parameters():
            parameters[weight.requires_grad] += weight.numel()
        say(
            f"{questions.summary}, {schedule.steps} steps, "
            f"{parameters[True]:,} of {sum(parameters.values()):,} parameters trained, {loaded.backend.name} "
            f"({loaded.backend.reason}), {processes.count} x {device}, {'bf16' if bf16 else 'float32'}"
        )

        def save() -> None:
            if processes.first:
                now = optimizer.to_checkpoint(trained, adamw, position)

                def fill(folder: Path) -> None:
                    state.fill(folder, now, job.out / "losses.jsonl", lambda start: save_start(job.out, start))

                about = card(job, questions, position, schedule.steps)
                saves.write(position["step"], fill, about, [position["best"]["step"]])
            processes.wait()

        if checkpoint and processes.first:  # what was killed before it had arrived
            saves.copy(card(job, questions, position, schedule.steps), [position["best"]["step"]])

        # --- Steps
        evaluated = {round(schedule.steps * turn / training.evaluations) for turn in range(1, training.evaluations + 1)}
        while position["step"] < schedule.steps:
            if processes.any(stop()):
                if processes.any(processes.first and saves.saved != position["step"]):
                    save()
                saves.finish(PREEMPTION_S)
                raise Preempted(f"asked to stop; the same command goes on from step {saves.saved} of {schedule.steps}")
            step = position["step"] + 1
            step_began = time.perf_counter()
            loaded.model.train()
            torch.manual_seed(random.Random(f"{job.seed}/{step}/{processes.rank}").getrandbits(63))  # for dropout
            learning_rate = optimizer.learning_rate(schedule, step)
            for group in adamw.param_groups:
                group["lr"] = learning_rate
            places = range((step - 1) * per_step, step * per_step)
            mine = processes.share(places)
            loss_sum = torch.zeros((), device=device)
            for first in range(0, len(mine), training.clips_per_batch):
                batch = [questions.asked(place, loaded) for place in mine[first : first + training.clips_per_batch]]
                part = learner.summed_loss(batch) / per_step
                part.backward()
                loss_sum += part.detach()
            processes.add_up([loss_sum, *(weight.grad for weight in trained.values() if weight.grad is not None)])
            loss = float(loss_sum)
            norm = float(torch.nn.utils.clip_grad_norm_(trained.values(), training.max_gradient_norm))
            if not math.isfinite(loss + norm):
                save()
                raise NonFiniteLoss(
                    f"the loss is {loss:.4g} and its gradient's norm {norm:.4g} at step {step}, on these clips: "
                    f"{', '.join(sorted({questions.name(place) for place in places}))}. Lower "
                    f"training.learning_rate, or take a clip out, and train into another folder than {job.out}"
                )
            adamw.step()
            adamw.zero_grad(set_to_none=True)

            seconds = time.perf_counter() - step_began
            entry: dict[str, Any] = {
                "step": step,
                "loss": loss,
                "lr": learning_rate,
                "grad_norm": norm,
                "clips_per_s": round(per_step / seconds, 2),
                "memory_mb": record.peak_memory_mb(device),
            }
            position["step"] = step
            position["seconds"] += seconds
            if step in evaluated and questions.held_out:
                val = questions.evaluate(learner)
                entry |= {"val_loss": val["nats"], "val_accuracy": val["accuracy"]}
                best = position["best"]["val"]
                if best is None or val["nats"] < best["nats"]:
                    position["best"] = {"step": step, "val": val}
            losses.append(entry)
            if processes.first:
                record.append_loss(job.out / "losses.jsonl", entry)
            if step in evaluated:
                say(f"step {step}/{schedule.steps}: {_in_words(entry)}")
                save()

        # --- The finished model and its record
        if position["best"]["step"]:
            optimizer.restore_weights(state.read_step(job.out, position["best"]["step"]), trained)
        result = {
            "identity": this,
            "seed": job.seed,
            "steps": schedule.steps,
            "epochs": training.epochs,
            "best_step": position["best"]["step"] or schedule.steps,
            "first_loss": losses[0]["loss"],
            "final_loss": losses[-1]["loss"],
            "val": position["best"]["val"],
            "clips": questions.clips,
            "step_seconds": round(position["seconds"], 2),
            "seconds_of_last_start": round(time.perf_counter() - started, 2),
            "peak_memory_mb": record.peak_memory_mb(device),
            "trained_parameters": parameters[True],
            "backend": {"name": loaded.backend.name, "reason": loaded.backend.reason},
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "precision": "bf16" if bf16 else "float32",
            "threads": job.threads,
            "processes": processes.count,
            "versions": record.versions(),
        }
        if processes.first:
            write_final(loaded, job, questions, job.out)
            result["store"] = saves.finish()
            files.write_json(result_file, result)
        processes.wait()
        say(
            f"the model is finished: loss {result['first_loss']:.3f} -> {result['final_loss']:.3f}, val {result['val']}"
        )
        return result


def _in_words(entry: dict[str, Any]) -> str:
    held_out = f", held out {entry['val_loss']:.3f}, {entry['val_accuracy']:.0%} right" if "val_loss" in entry else ""
    return f"loss {entry['loss']:.3f}{held_out}, learning rate {entry['lr']:.2g}, {entry['clips_per_s']:.1f} clips/s"
