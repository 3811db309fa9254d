"""Train a streaming coach, read from top to bottom: job, sessions, model, steps, the finished coach.

    python -m posellm_assets.coaching.streaming.train JOB.json                                 JOB.json is a `CoachJob`

Writes into the job's `out`: `checkpoint-N/`, `losses.jsonl` (a line per step), `final/` (the coach) and, last,
`result.json`. What is drawn at a step follows from the job's seed and the step alone, so that a killed and restarted
job ends like one that never stopped: on a CPU, with the same threads, to the bit.
"""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets import files
from posellm_assets.coaching.streaming.coach import Coach, CoachRecord
from posellm_assets.coaching.streaming.config import CoachJob
from posellm_assets.coaching.streaming.lessons import Lessons, catalogue, normalise, summed_loss
from posellm_assets.coaching.streaming.network import CoachModel
from posellm_assets.coaching.streaming.sessions import (
    RECORD,
    CoachedSession,
    UnusableSessions,
    read_dataset_record,
    read_sessions,
    rows_of,
    windows_path,
)
from posellm_assets.coaching.streaming.timing import scored
from posellm_assets.language import record
from posellm_assets.program import PREEMPTED, Preempted, Refusal, Report, asked_to_stop, read_config, reporting
from posellm_assets.training import optimizer, state
from posellm_assets.training.checkpoints import check_identity
from posellm_assets.training.saving import PREEMPTION_S, Saves

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class NonFiniteLoss(Refusal):
    """The loss or its gradient became NaN or infinite; the message names the sessions of the step."""


def train(job: CoachJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnusableSessions where there is nothing to learn, CheckpointMismatch where `out` or the store belongs to
    another job, NonFiniteLoss, and Preempted after saving where `stop()` says so.
    """
    # --- What this job is, and what is there of it already
    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    config, this = job.config, identity(job)
    saves = Saves(job.out, job.hub, report)
    result_file = job.out / "result.json"
    if result_file.is_file():
        finished: dict[str, Any] = files.read_json(result_file)
        check_identity(finished["identity"], this, str(job.out))
        report(f"the coach is finished already: {job.out / 'final'}")
        return finished

    def unfit(position: dict[str, Any], where: str) -> None:
        check_identity(position["identity"], this, where)

    newest = saves.newest(unfit)
    checkpoint = state.read(newest) if newest else None

    # --- Sessions and model
    dataset = read_dataset_record(job.dataset)
    fit = read_sessions(job.dataset, dataset, "train")
    held_out = [session for session in read_sessions(job.dataset, dataset, "val") if session.messages]
    rows = [row for session in fit for row in rows_of(session, config)]
    held_out_rows = [row for session in held_out for row in rows_of(session, config)]
    texts = catalogue(rows)
    if not texts:
        raise UnusableSessions(
            f"no session of the train split in {job.dataset} has a message: there is nothing to learn"
        )
    lessons = Lessons(texts, config, dataset.fps, dataset.delay_s)
    torch.manual_seed(job.seed)
    inputs = lessons.plain(rows[:1]).motion.shape[-1]
    model = CoachModel(inputs, len(texts), config.hidden_size, config.dropout)
    normalise(model, lessons, rows)
    trained = dict(model.named_parameters())
    adamw = optimizer.adamw(trained, config)

    untried = CoachRecord(
        messages=texts,
        inputs=inputs,
        hidden_size=config.hidden_size,
        threshold=0.5,
        cooldown_s=config.cooldown_s,
        no_repeat_s=config.no_repeat_s,
        fps=dataset.fps,
        delay_s=dataset.delay_s,
        lineage=dataset.lineage,
    )

    # --- Where to go on
    position: dict[str, Any]
    if checkpoint:
        position = checkpoint.position
        optimizer.restore(checkpoint, trained, adamw)
        if position["best"]["step"]:
            saves.bring(position["best"]["step"])
        report(f"goes on from step {position['step']} of {config.steps}")
    else:
        position = {"identity": this, "step": 0, "seconds": 0.0, "best": {"step": 0, "score": None}}
    losses = record.restore_losses(newest, job.out / "losses.jsonl", write=True)
    count, words = sum(weight.numel() for weight in trained.values()), sum(len(row.messages) for row in rows)
    report(
        f"{len(fit)} sessions in {len(rows)} rows ({config.mode}), {words} messages of {len(texts)} kinds, "
        f"{count:,} parameters, {config.steps} steps"
    )

    def card() -> str:
        return f"# Checkpoints of a streaming coach\n\nStep {position['step']} of {config.steps}.\n"

    def save() -> None:
        now = optimizer.to_checkpoint(trained, adamw, position)
        saves.write(
            position["step"],
            lambda folder: state.fill(folder, now, job.out / "losses.jsonl", lambda start: None),
            card(),
            [position["best"]["step"]],
        )

    if checkpoint:  # what was killed before it had arrived
        saves.copy(card(), [position["best"]["step"]])

    # --- Steps
    evaluated = {round(config.steps * turn / config.evaluations) for turn in range(1, config.evaluations + 1)}
    while position["step"] < config.steps:
        if stop():
            if saves.saved != position["step"]:
                save()
            saves.finish(PREEMPTION_S)
            raise Preempted(f"asked to stop; the same command goes on from step {saves.saved} of {config.steps}")
        step = position["step"] + 1
        step_began = time.perf_counter()
        model.train()
        rng = np.random.default_rng([job.seed, step])
        torch.manual_seed(int(rng.integers(2**62)))  # for dropout
        for group in adamw.param_groups:
            group["lr"] = optimizer.learning_rate(config, step)
        drawn = [
            [rows[place] for place in rng.integers(len(rows), size=config.rows_per_batch)]
            for _ in range(config.batches_per_step)
        ]
        messages = max(1, sum(len(row.messages) for batch in drawn for row in batch))
        loss = 0.0
        for batch in drawn:
            part = summed_loss(model, lessons.drawn(batch, rng)) / messages
            part.backward()
            loss += float(part.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(trained.values(), config.max_gradient_norm))
        if not math.isfinite(loss + norm):
            save()
            raise NonFiniteLoss(
                f"the loss is {loss:.4g} and its gradient's norm {norm:.4g} at step {step}, on these sessions: "
                f"{', '.join(sorted({row.key for batch in drawn for row in batch}))}. Lower streaming.learning_rate, "
                f"or take a session out, and train into another folder than {job.out}"
            )
        adamw.step()
        adamw.zero_grad(set_to_none=True)

        seconds = time.perf_counter() - step_began
        entry: dict[str, Any] = {"step": step, "loss": loss, "lr": adamw.param_groups[0]["lr"], "grad_norm": norm}
        position["step"] = step
        position["seconds"] += seconds
        if step in evaluated and held_out:
            entry["val_loss"] = evaluated_loss(model, lessons, held_out_rows)
            tried = tried_thresholds(Coach(model, untried), held_out)
            entry["val_score"] = best_threshold(tried)[1]
            if position["best"]["score"] is None or entry["val_score"] > position["best"]["score"]:
                position["best"] = {"step": step, "score": entry["val_score"], "thresholds": tried}
        losses.append(entry)
        record.append_loss(job.out / "losses.jsonl", entry)
        if step in evaluated:
            said = f", held out {entry['val_loss']:.3f}, T-F-Score {entry['val_score']:.3f}" if held_out else ""
            report(f"step {step}/{config.steps}: loss {loss:.3f}{said}")
            save()

    # --- The finished coach
    if held_out:
        optimizer.restore_weights(state.read_step(job.out, position["best"]["step"]), trained)
        tried = position["best"]["thresholds"]
    else:
        tried = tried_thresholds(Coach(model, untried), fit)
    coach = Coach(model, untried).at(best_threshold(tried)[0])
    result = {
        "identity": this,
        "seed": job.seed,
        "steps": config.steps,
        "best_step": position["best"]["step"] or config.steps,
        "first_loss": losses[0]["loss"],
        "final_loss": losses[-1]["loss"],
        "val_score": position["best"]["score"],
        "threshold": coach.record.threshold,
        "threshold_chosen_on": "val" if held_out else "train",
        "thresholds": tried,
        "sessions": {"train": len(fit), "val": len(held_out)},
        "rows": len(rows),
        "messages": len(texts),
        "parameters": count,
        "step_seconds": round(position["seconds"], 2),
        "seconds_of_last_start": round(time.perf_counter() - started, 2),
        "threads": job.threads,
        "versions": record.versions(),
    }
    write_final(coach, job.out)
    result["store"] = saves.finish()
    files.write_json(result_file, result)
    report(
        f"the coach is finished: loss {result['first_loss']:.3f} -> {result['final_loss']:.3f}, threshold "
        f"{result['threshold']} chosen on {len(held_out or fit)} {result['threshold_chosen_on']} sessions"
    )
    return result


def identity(job: CoachJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its sessions by content. Where they lie does not."""
    sessions = read_dataset_record(job.dataset).sessions
    settings = job.model_dump(mode="json", exclude={"dataset", "out", "hub", "threads"})
    windows = {one.key: files.sha256_of(windows_path(job.dataset, one.key)) for one in sessions if one.split != "test"}
    return {**settings, "dataset": files.sha256_of(job.dataset / RECORD), "windows": windows}


def evaluated_loss(model: CoachModel, lessons: Lessons, rows: Sequence[CoachedSession]) -> float:
    """The loss for each message of rows that were not learned from, given what was really said before."""
    model.eval()
    with torch.inference_mode():
        parts = [float(summed_loss(model, lessons.plain([row]))) for row in rows]
    return sum(parts) / max(1, sum(len(row.messages) for row in rows))


def tried_thresholds(coach: Coach, sessions: Sequence[CoachedSession]) -> dict[str, float]:
    """The mean of the published and the optimal T-F-Score at each threshold."""
    found = {}
    for threshold in THRESHOLDS:
        published, optimal = scored(coach.at(threshold), sessions)
        found[str(threshold)] = (published.f + optimal.f) / 2
    return found


def best_threshold(tried: dict[str, float]) -> tuple[float, float]:
    """The threshold with the best score, and that; few sessions give a ragged curve, so neighbours count too."""
    scores = np.array(list(tried.values()))
    smooth = np.convolve(np.pad(scores, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    best = int(smooth.argmax())
    return float(list(tried)[best]), float(smooth[best])


def write_final(coach: Coach, out: Path) -> None:
    """Write `out/final` under another name first, so that a killed process leaves no half of it."""
    temporary, final = out / ".final.tmp", out / "final"
    for leftover in (temporary, final):
        shutil.rmtree(leftover, ignore_errors=True)
    coach.save(temporary)
    os.replace(temporary, final)


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = read_config(CoachJob)
    with reporting() as report, asked_to_stop() as stop:
        try:
            train(job, report, stop)
        except Preempted as preempted:
            print(preempted, file=sys.stderr)
            sys.exit(PREEMPTED)
        except (ValueError, FileNotFoundError) as error:
            sys.exit(f"coach: {error}")


if __name__ == "__main__":
    main()
