"""Train one stage, read from top to bottom: job, data, model, steps, checkpoints, the finished model.

    python -m posellm_assets.language.train JOB.json                                      JOB.json is a `StageJob`
    torchrun --nproc-per-node 2 -m posellm_assets.language.train JOB.json

Writes into the job's `out`: `checkpoint-N/`, `losses.jsonl` (a line per step), `final/` (the model) and, last,
`result.json`. Everything random comes from the job's seed and the step, so that a killed and restarted job ends with
the same weights as one that never stopped; on a CPU, and with the same number of threads and processes, to the bit.
"""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posellm_assets import files
from posellm_assets.language.config import StageJob, Task
from posellm_assets.language.formats.card import stage_card
from posellm_assets.language.origin import Origin
from posellm_assets.program import Preempted, Refusal, Report, read_config, run_training
from posellm_assets.training import backends
from posellm_assets.training.checkpoints import CheckpointMismatch, check_identity, newest_valid
from posellm_assets.training.saving import PREEMPTION_S, SavePoints, Saves

SAY_EVERY_S = 10.0


class NonFiniteLoss(Refusal):
    """The loss or its gradient became NaN or infinite; the message names the clips of the step."""


def train(
    job: StageJob, backend: backends.Backend, report: Report, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnusableData, UnsupportedModel or BackendUnavailable where data or model do not fit the job,
    CheckpointMismatch where `out` or the store belongs to another one, NonFiniteLoss after saving the state before that
    step, and Preempted after saving where `stop()` says so.
    """
    # Imported here, because Unsloth patches transformers and `backends.choose` must have imported it before.
    import torch

    from posellm_assets.language import record
    from posellm_assets.language.clips import UnusableData, read_clips
    from posellm_assets.language.lengths import Lengths
    from posellm_assets.language.losses import check_can_evaluate, mean_loss, summed_loss, validate
    from posellm_assets.language.packing import collate
    from posellm_assets.language.rows import Rows
    from posellm_assets.language.start import start
    from posellm_assets.language.tasks import fit_texts
    from posellm_assets.training import optimizer, state
    from posellm_assets.training.processes import together

    with together() as processes:
        # --- What this job is, and what is there of it already
        started = time.perf_counter()
        torch.set_num_threads(job.threads)
        stage, device = job.stage, processes.device
        say: Report = report if processes.first else lambda message: None
        rows_per_step = stage.rows_per_batch * stage.batches_per_step
        if rows_per_step < processes.count:
            raise UnusableData(
                f"{processes.count} processes cannot share the {rows_per_step} rows of a step: raise them"
            )
        identity = record.identity(job)
        result_file = job.out / "result.json"
        saves = Saves(job.out, job.hub if processes.first else None, say)
        if result_file.is_file():
            result: dict[str, Any] = files.read_json(result_file)
            # Before there was a store, a result did not say of which snapshot it is.
            check_identity({"snapshot": job.snapshot, **result["identity"]}, identity, str(job.out))
            say(f"{stage.name} is finished already: {job.out / 'final'}")
            if processes.first and saves.is_behind(result.get("store"), result["steps"]):
                saves.copy(stage_card(job, result["steps"], result["val_before"], []))
                result["store"] = saves.finish()
                files.write_json(result_file, result)
            return result

        def unfit(position: dict[str, Any], where: str) -> None:
            if "vocabulary" not in position:
                raise CheckpointMismatch(
                    f"{where} holds checkpoints that an older version of this project wrote: remove it and train again"
                )
            # What broke a step may have been put right since; what makes the model what it is may not have changed.
            (state.check_cure if position.get("broke") else check_identity)(position["identity"], identity, where)

        newest = saves.newest(unfit) if processes.first else None
        processes.wait()
        newest = newest if processes.first else newest_valid(job.out, say)
        checkpoint = state.read(newest) if newest else None
        if newest and processes.first:
            record.restore_start(newest, job.out)
        processes.wait()

        # --- Data, vocabulary and model
        origin = Origin.of(job)
        if not origin.fits(job.model):
            say(f"the parent goes on as what it is: made from {origin}, not from {job.model.base} as set")
        clips = read_clips(job.train, job.codebook_size, job.layers)
        held_out = read_clips(job.val, job.codebook_size, job.layers) if job.val else []
        participants = {clip.participant for clip in clips if clip.participant}
        if checkpoint:
            participants = set(checkpoint.position["participants"])
        bf16 = processes.in_bf16(job.model.precision)
        vocabulary, loaded = start(job, backend, clips, participants, bf16, processes, resumed=checkpoint is not None)
        tokens_hash = record.vocabulary_hash(vocabulary)
        model, masked = loaded.model, loaded.masked
        if stage.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        clips, left_out = fit_texts(clips, vocabulary, stage.row_tokens)
        held_out, held_out_left_out = fit_texts(held_out, vocabulary, stage.row_tokens)
        left_out += held_out_left_out
        for sentence in left_out:
            say(f"left out: {sentence}")
        check_can_evaluate(held_out, stage, vocabulary)
        rows = Rows(clips, stage, vocabulary, job.seed, job.replay)
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        adamw = optimizer.adamw(trained, stage)

        def evaluate() -> dict[Task, dict[str, Any]]:
            return validate(model, masked, bf16, held_out, stage, vocabulary, processes)

        # --- Where to go on
        position: dict[str, Any]
        if checkpoint:
            position = {**checkpoint.position, "identity": identity, "broke": False, "code": record.code_hash()}
            before = checkpoint.position
            check_identity({"vocabulary": before["vocabulary"]}, {"vocabulary": tokens_hash}, str(newest))
            changed = state.check_cure(before["identity"], identity, str(newest))
            position["changed"] += changed
            if before["code"] != position["code"]:
                changed.append("the code of the language room is another than that of the checkpoint")
            if stage.patience and position["best"]["step"] and processes.first:
                saves.bring(position["best"]["step"])
            optimizer.restore(checkpoint, trained, adamw)
            rows.seek(position["epoch"], position["row"])
            say("; ".join([f"goes on from step {position['step']} of {stage.steps}", *changed]))
        else:
            position = {
                "identity": identity,
                "code": record.code_hash(),
                "vocabulary": tokens_hash,
                "participants": sorted(participants),
                "step": 0,
                "tokens": 0,
                "labelled_tokens": 0,
                "seconds": 0.0,
                "cpu_seconds": 0.0,
                "val_before": evaluate(),
                "best": {"step": 0, "loss": None},
                "evaluations_since_best": 0,
                "broke": False,
                "changed": [],
            }
        losses = record.restore_losses(newest, job.out / "losses.jsonl", write=processes.first)
        parameters = {True: 0, False: 0}
        for weight in model.parameters():
            parameters[weight.requires_grad] += weight.numel()
        say(
            f"{stage.name}: {len(clips)} clips, {parameters[True]:,} of {sum(parameters.values()):,} parameters "
            f"trained, {loaded.backend.name} ({loaded.backend.reason}), {processes.count} x {device}, "
            f"{'bf16' if bf16 else 'float32'}"
        )

        def kept() -> list[int]:
            return [position["best"]["step"]] if stage.patience else []

        def card() -> str:
            return stage_card(job, position["step"], position["val_before"], losses)

        def save() -> None:
            if processes.first:
                now = optimizer.to_checkpoint(trained, adamw, {**position, "epoch": rows.epoch, "row": rows.row})

                def fill(folder: Path) -> None:
                    state.fill(folder, now, job.out / "losses.jsonl", save_start)

                saves.write(position["step"], fill, card(), kept())
            processes.wait()

        def save_start(folder: Path) -> None:
            record.save_start(job.out, vocabulary, folder)

        if checkpoint and processes.first:
            saves.copy(card(), kept())  # what was killed before it had arrived

        # --- Steps
        points = SavePoints(stage.steps, stage.checkpoint_every, stage.checkpoint_minutes)
        said_s = -math.inf
        model.train()
        while position["step"] < stage.steps and not _out_of_patience(position, stage.patience):
            if processes.any(stop()):
                if processes.any(processes.first and saves.saved != position["step"]):
                    save()
                saves.finish(PREEMPTION_S)
                raise Preempted(f"{stage.name} was asked to stop and {_where_it_goes_on(saves, stage.steps)}")
            step = position["step"] + 1
            step_began, cpu_began = time.perf_counter(), time.process_time()
            torch.manual_seed(random.Random(f"{job.seed}/{step}/{processes.rank}").getrandbits(63))  # for dropout
            learning_rate = optimizer.learning_rate(stage, step)
            for group in adamw.param_groups:
                group["lr"] = learning_rate
            place = rows.epoch, rows.row
            taken = rows.take(rows_per_step)
            examples = [example for row in taken for example in row]
            labelled = sum(len(example.answer) for example in examples)
            mine = processes.share(taken)
            loss_sum = torch.zeros((), device=device)
            for first in range(0, len(mine), stage.rows_per_batch):
                batch = collate(mine[first : first + stage.rows_per_batch], stage.row_tokens, vocabulary.pad).to(device)
                part = summed_loss(model, batch, masked, bf16) / labelled
                part.backward()
                loss_sum += part.detach()
            processes.add_up([loss_sum, *(weight.grad for weight in trained.values() if weight.grad is not None)])
            loss = float(loss_sum)
            norm = float(torch.nn.utils.clip_grad_norm_(trained.values(), stage.max_gradient_norm))
            if not math.isfinite(loss + norm):
                rows.seek(*place)
                position["broke"] = True
                save()
                saves.finish(PREEMPTION_S)
                raise NonFiniteLoss(_what_broke(step, loss, norm, {example.key for example in examples}, job.out))
            adamw.step()
            adamw.zero_grad(set_to_none=True)

            seconds = time.perf_counter() - step_began
            tokens = sum(map(len, examples))
            entry = {
                "step": step,
                "loss": loss,
                "lr": learning_rate,
                "grad_norm": norm,
                "tokens_per_s": round(tokens / seconds, 1),
                "labels_per_s": round(labelled / seconds, 1),
                "memory_mb": record.peak_memory_mb(device),
            }
            position["step"] = step
            position["tokens"] += tokens
            position["labelled_tokens"] += labelled
            position["seconds"] += seconds
            position["cpu_seconds"] += time.process_time() - cpu_began
            if stage.evaluate_every and step % stage.evaluate_every == 0:
                entry["val_loss"] = mean_loss(evaluate(), stage)
                best = position["best"]["loss"]
                if best is None or entry["val_loss"] < best:
                    position["best"] = {"step": step, "loss": entry["val_loss"]}
                    position["evaluations_since_best"] = 0
                else:
                    position["evaluations_since_best"] += 1
            losses.append(entry)
            if processes.first:
                record.append_loss(job.out / "losses.jsonl", entry)
            if step == stage.steps or time.perf_counter() - said_s >= SAY_EVERY_S:
                said_s = time.perf_counter()
                say(f"{stage.name} step {step}/{stage.steps}: {_in_words(entry)}")
            is_best = stage.patience and position["best"]["step"] == step
            due = processes.any(processes.first and points.due(step))
            if due or is_best or _out_of_patience(position, stage.patience):
                save()

        # --- The finished model and its record
        if stage.patience and position["best"]["step"]:
            optimizer.restore_weights(state.read_step(job.out, position["best"]["step"]), trained)
        val = evaluate()
        tail = [entry["loss"] for entry in losses[-max(1, len(losses) // 10) :]]
        result = {
            "stage": stage.name,
            "identity": identity,
            "changed": position["changed"],
            "parent": str(job.parent) if job.parent else None,
            "base": origin.base,
            "seed": job.seed,
            "steps": position["step"],
            "best_step": position["best"]["step"] if stage.patience else position["step"],
            "epochs": rows.epoch + 1,
            "first_loss": losses[0]["loss"],
            "final_loss": sum(tail) / len(tail),
            "final_loss_steps": len(tail),
            "val_before": position["val_before"],
            "val": val,
            "clips": len(clips),
            "new_clips": len(rows.source.new),
            "replayed_per_epoch": rows.source.per_epoch,
            "clips_without_text": sum(not any(view.texts for view in clip.views) for clip in clips),
            "left_out": left_out,
            "tokens": position["tokens"],
            "labelled_tokens": position["labelled_tokens"],
            "step_seconds": round(position["seconds"], 2),
            "step_cpu_seconds": round(position["cpu_seconds"], 2),
            "seconds_of_last_start": round(time.perf_counter() - started, 2),
            "tokens_per_s": round(position["tokens"] / position["seconds"], 1),
            "labels_per_s": round(position["labelled_tokens"] / position["seconds"], 1),
            "peak_memory_mb": record.peak_memory_mb(device),
            "trained_parameters": parameters[True],
            "backend": {"name": loaded.backend.name, "reason": loaded.backend.reason},
            "packing": "explicit mask" if masked else "positions",
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "precision": "bf16" if bf16 else "float32",
            "threads": job.threads,
            "processes": processes.count,
            "versions": record.versions(),
            "code": record.code_hash(),
        }
        if processes.first:
            record.write_final(model, vocabulary, Lengths.of(clips, stage.row_tokens), origin, job.out)
            result["store"] = saves.finish()
            files.write_json(result_file, result)
        processes.wait()
        say(f"{stage.name} is finished: loss {result['first_loss']:.3f} -> {result['final_loss']:.3f}, val {val}")
        return result


def _where_it_goes_on(saves: Saves, steps: int) -> str:
    if saves.saved is None:
        return "could not save: the same command begins again"
    return f"saved: the same command goes on from step {saves.saved} of {steps}"


def _out_of_patience(position: dict[str, Any], patience: int | None) -> bool:
    return patience is not None and position["evaluations_since_best"] >= patience


def _in_words(entry: dict[str, Any]) -> str:
    held_out = f", held out {entry['val_loss']:.3f}" if "val_loss" in entry else ""
    return (
        f"loss {entry['loss']:.3f}{held_out}, learning rate {entry['lr']:.2g}, gradient {entry['grad_norm']:.2f}, "
        f"{entry['tokens_per_s']:,.0f} tokens/s, {entry['labels_per_s']:,.0f} of them labels, "
        f"{entry['memory_mb']:,.0f} MB"
    )


def _what_broke(step: int, loss: float, norm: float, keys: set[str], out: Path) -> str:
    return (
        f"the loss is {loss:.4g} and its gradient's norm {norm:.4g} at step {step}, on these clips: "
        f"{', '.join(sorted(keys))}. The state before this step is in {out / f'checkpoint-{step - 1}'}: lower the "
        "stage's learning rate, or repair or remove a clip, and start the same command again, which goes on from there "
        "(or from the checkpoint before it, if you remove that one)"
    )


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = read_config(StageJob)
    # A ValueError of a library is not the job's fault: it keeps its traceback.
    run_training(
        job.stage.name,
        lambda report, stop: train(job, backends.choose(job.model.backend), report, stop),
        faults=(Refusal,),
    )


if __name__ == "__main__":
    main()
