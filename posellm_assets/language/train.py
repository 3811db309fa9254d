"""Train one stage, read from top to bottom: job, data, model, steps, the finished model.

    python -m posellm_assets.language.train JOB.json                                      JOB.json is a `StageJob`
    torchrun --nproc-per-node 2 -m posellm_assets.language.train JOB.json

What it leaves in the job's `out`, and how it resumes, is told in `training.loop`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from posellm_assets.language.config import StageJob, Task
from posellm_assets.program import Refusal, Report, claim_job, run_training
from posellm_assets.training import backends

_EVALUATIONS = 5  # on held-out clips in a stage that does not say after how many steps


def train(
    job: StageJob, backend: backends.Backend, report: Report, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnusableData, UnsupportedModel or BackendUnavailable where data or model do not fit the job, and what
    `training.loop.Run` raises.
    """
    # Imported here, because Unsloth patches transformers and `backends.choose` must have imported it before.
    import torch

    from posellm_assets.language import record
    from posellm_assets.language.clips import UnusableData, read_clips
    from posellm_assets.language.losses import can_evaluate, mean_loss, summed_loss, validate
    from posellm_assets.language.origin import Origin
    from posellm_assets.language.packing import Rows, collate
    from posellm_assets.language.start import near_codes, start
    from posellm_assets.language.tasks import fit_texts
    from posellm_assets.language.taught import Taught
    from posellm_assets.training.checkpoints import check_identity
    from posellm_assets.training.loop import Run
    from posellm_assets.training.optimizer import adamw
    from posellm_assets.training.plan import Evaluation, Score
    from posellm_assets.training.processes import together
    from posellm_assets.training.state import Trained

    with together() as processes:
        stage, device = job.stage, processes.device
        rows_per_step = stage.rows_per_batch * stage.batches_per_step
        if rows_per_step < processes.count:
            raise UnusableData(
                f"{processes.count} processes cannot share the {rows_per_step} rows of a step: raise them"
            )
        run = Run(record.plan(job), processes, report, stop)
        if run.result:
            return run.result

        # --- Data
        origin = Origin.of(job)
        if not origin.fits(job.model):
            run.say(f"the parent stays what it is: made from {origin}, not from {job.model.base} as set")
        clips = read_clips(job.train, job.codebook_size, job.codes_per_step)
        held_out = read_clips(job.val, job.codebook_size, job.codes_per_step) if job.val else []
        participants = {clip.participant for clip in clips if clip.participant}
        if run.checkpoint:
            participants = set(run.checkpoint.position.about["participants"])

        # --- Vocabulary and model
        bf16 = processes.in_bf16(job.model.precision)
        resumed = run.checkpoint is not None
        vocabulary, loaded = start(job, backend, clips, participants, bf16, processes, resumed)
        model, masked = loaded.model, loaded.masked
        tokens_hash = record.vocabulary_hash(vocabulary)
        if run.checkpoint:
            before = run.checkpoint.position.about["vocabulary"]
            check_identity({"vocabulary": before}, {"vocabulary": tokens_hash}, str(job.out))
        if stage.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        clips, left_out = fit_texts(clips, vocabulary, stage.row_tokens)
        held_out, held_out_left_out = fit_texts(held_out, vocabulary, stage.row_tokens)
        left_out += held_out_left_out
        for sentence in left_out:
            run.say(f"left out: {sentence}")
        scored = can_evaluate(held_out, stage, vocabulary)
        rows = Rows(clips, stage, vocabulary, job.seed, job.replay)
        near = near_codes(job, vocabulary, device)
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

        def evaluate() -> dict[Task, dict[str, Any]]:
            return validate(model, masked, bf16, held_out, stage, vocabulary, processes)

        def score() -> Score:
            loss = mean_loss(evaluate(), stage)
            return Score(loss, {"val_loss": loss})

        # The curve of the held-out loss stands beside that of the training, whether or not anything rests on it.
        every = stage.evaluate_every or max(1, stage.steps // _EVALUATIONS)
        run.begin(
            Trained(trained, adamw(trained, stage.weight_decay)),
            rows,
            Evaluation(lambda step: scored and step % every == 0, score, stage.patience is not None, stage.patience),
            about=lambda: {
                "vocabulary": tokens_hash,
                "participants": sorted(participants),
                "val_before": evaluate(),
            },
            start=lambda folder: record.save_start(job.out, vocabulary, folder),
        )
        run.say(
            f"{stage.name}: {len(clips)} clips, {sum(map(torch.numel, trained.values())):,} of "
            f"{sum(map(torch.numel, model.parameters())):,} parameters trained, {loaded.backend.name} "
            f"({loaded.backend.reason}), {processes.count} x {device}, {'bf16' if bf16 else 'float32'}"
        )

        # --- Steps
        model.train()
        for step in run.steps():
            processes.seed(job.seed, step)  # for dropout
            taken = rows.take(rows_per_step)
            examples = [example for row in taken for example in row]
            labels = sum(len(example.answer) for example in examples)
            mine = processes.share(taken)
            loss = torch.zeros((), device=device)
            for first in range(0, len(mine), stage.rows_per_batch):
                batch = collate(mine[first : first + stage.rows_per_batch], stage.row_tokens, vocabulary.pad).to(device)
                part = summed_loss(model, batch, vocabulary, masked, bf16, near) / labels
                part.backward()
                loss += part.detach()
            run.update(loss, [one.key for one in examples], tokens=sum(map(len, examples)), labels=labels)

        # --- The finished model
        def write(folder: Path) -> None:
            record.write_final(model, vocabulary, Taught.of(clips, stage.row_tokens), origin, folder)

        val = evaluate()
        return run.finish(
            write,
            {
                "stage": stage.name,
                "parent": str(job.parent) if job.parent else None,
                "base": origin.base,
                "epochs": rows.epoch + 1,
                "val_before": run.position.about["val_before"],
                "val": val,
                "clips": len(clips),
                "new_clips": len(rows.source.new),
                "replayed_per_epoch": rows.source.per_epoch,
                "clips_without_text": sum(not any(view.texts for view in clip.views) for clip in clips),
                "left_out": left_out,
                "backend": {"name": loaded.backend.name, "reason": loaded.backend.reason},
                "packing": "explicit mask" if masked else "positions",
                "precision": "bf16" if bf16 else "float32",
            },
        )


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = claim_job(StageJob)
    # A ValueError of a library is not the job's fault: it keeps its traceback.
    run_training(
        job.stage.name,
        lambda report, stop: train(job, backends.choose(job.model.backend), report, stop),
        faults=(Refusal,),
    )


if __name__ == "__main__":
    main()
