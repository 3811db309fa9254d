"""Train a streaming coach, read from top to bottom: job, sessions, model, steps, the finished coach.

    python -m posellm_assets.coaching.streaming.train JOB.json                                 JOB.json is a `CoachJob`

What it leaves in the job's `out`, and how it resumes, is told in `training.loop`.
"""

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
from posellm_assets.program import Report, claim_job, run_training
from posellm_assets.training.loop import Run
from posellm_assets.training.optimizer import adamw, learning_rate
from posellm_assets.training.plan import Evaluation, Plan, Score, decisive
from posellm_assets.training.processes import alone
from posellm_assets.training.record import code_hash
from posellm_assets.training.state import Trained

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def train(job: CoachJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnusableSessions where there is nothing to learn, and what `training.loop.Run` raises.
    """
    config = job.config
    run = Run(plan(job), alone(), report, stop)
    if run.result:
        return run.result

    # --- Sessions
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

    # --- Model
    lessons = Lessons(texts, config, dataset.fps, dataset.delay_s)
    torch.manual_seed(job.seed)
    inputs = lessons.plain(rows[:1]).motion.shape[-1]
    model = CoachModel(inputs, len(texts), config.hidden_size, config.dropout)
    normalise(model, lessons, rows)
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
    evaluations = (config.steps * turn / config.evaluations for turn in range(1, config.evaluations + 1))
    evaluated = set(map(round, evaluations)) if held_out else set()

    def score() -> Score:
        tried = tried_thresholds(Coach(model, untried), held_out)
        best = best_threshold(tried)[1]
        return Score(-best, {"val_loss": evaluated_loss(model, lessons, held_out_rows), "val_score": best}, tried)

    trained = dict(model.named_parameters())
    run.begin(
        Trained(trained, adamw(trained, config.weight_decay)),
        evaluation=Evaluation(lambda step: step in evaluated, score, keep_best=True),
    )
    run.say(
        f"{len(fit)} sessions in {len(rows)} rows ({config.mode}), {sum(len(row.messages) for row in rows)} messages "
        f"of {len(texts)} kinds, {sum(map(torch.numel, trained.values())):,} parameters, {config.steps} steps"
    )

    # --- Steps
    for step in run.steps():
        model.train()
        rng = np.random.default_rng([job.seed, step])
        torch.manual_seed(int(rng.integers(2**62)))  # for dropout
        drawn = [
            [rows[place] for place in rng.integers(len(rows), size=config.rows_per_batch)]
            for _ in range(config.batches_per_step)
        ]
        messages = max(1, sum(len(row.messages) for batch in drawn for row in batch))
        loss = torch.zeros(())
        for batch in drawn:
            part = summed_loss(model, lessons.drawn(batch, rng)) / messages
            part.backward()
            loss += part.detach()
        keys = [row.key for batch in drawn for row in batch]
        run.update(loss, keys, rows=len(keys))

    # --- The finished coach
    tried = run.position.best.about or tried_thresholds(Coach(model, untried), fit)
    threshold, _ = best_threshold(tried)
    coach = Coach(model, untried).at(threshold)
    run.say(f"threshold {threshold} chosen on {len(held_out or fit)} {'val' if held_out else 'train'} sessions")
    return run.finish(
        coach.save,
        {
            "val_score": None if run.position.best.score is None else -run.position.best.score,
            "threshold": coach.record.threshold,
            "threshold_chosen_on": "val" if held_out else "train",
            "thresholds": tried,
            "sessions": {"train": len(fit), "val": len(held_out)},
            "training_rows": len(rows),
            "message_kinds": len(texts),
        },
    )


def plan(job: CoachJob) -> Plan:
    """What the loop is told of a coach."""
    config = job.config
    return Plan(
        name="the coach",
        out=job.out,
        hub=job.hub,
        identity=identity(job),
        cures=r"config\.(?!mode|hidden_size)|dataset$|windows\.",
        remedy="lower streaming.learning_rate, or take a session out",
        code=code_hash(Path(__file__).parent),
        steps=config.steps,
        learning_rate=lambda step: learning_rate(config, step),
        max_gradient_norm=config.max_gradient_norm,
        seed=job.seed,
        threads=job.threads,
        card=lambda position, _: f"# Checkpoints of a streaming coach\n\nStep {position.step} of {config.steps}.\n",
        checkpoint_every=config.checkpoint_every,
        checkpoint_minutes=config.checkpoint_minutes,
    )


def identity(job: CoachJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its sessions by content. Where they lie does not."""
    sessions = read_dataset_record(job.dataset).sessions
    settings = job.model_dump(mode="json", exclude={"dataset", "out", "hub", "threads"})
    settings["config"] = decisive(settings["config"], "rows_per_batch")
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


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = claim_job(CoachJob)
    run_training("coach", lambda report, stop: train(job, report, stop))


if __name__ == "__main__":
    main()
