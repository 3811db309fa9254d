"""Train a vision-language model, read from top to bottom: job, model, steps, the finished model.

What is asked and answered comes from the job's `Questions`: `posellm_assets.actions.train` trains one to name actions,
`posellm_assets.coaching.model.vision_train` one to coach. What it leaves in the job's `out`, and how it resumes, is
told in `training.loop`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posellm_assets.program import Refusal, Report
from posellm_assets.training import backends
from posellm_assets.vision.config import VisionJob

if TYPE_CHECKING:
    from posellm_assets.vision.learning import Questions


def train_on(
    questions: "Questions", job: VisionJob, backend: backends.Backend, report: Report, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is.

    Raises UnsupportedModel or BackendUnavailable where the model does not fit the job, Refusal where there are more
    processes than clips in a step, and what `training.loop.Run` raises.
    """
    import torch

    from posellm_assets.training.loop import Run
    from posellm_assets.training.optimizer import adamw
    from posellm_assets.training.plan import Evaluation, Score
    from posellm_assets.training.processes import together
    from posellm_assets.training.record import save_start
    from posellm_assets.training.state import Trained
    from posellm_assets.vision.learning import Learner, VisionSchedule, start
    from posellm_assets.vision.record import plan, write_final

    with together() as processes:
        training, device = job.training, processes.device
        per_step = training.clips_per_batch * training.batches_per_step
        if per_step < processes.count:
            raise Refusal(f"{processes.count} processes cannot share {per_step} clips of a step: raise them")
        schedule = VisionSchedule.of(training, questions.clips)
        run = Run(plan(job, questions, schedule), processes, report, stop)
        if run.result:
            return run.result

        # --- Model
        bf16 = processes.in_bf16(job.model.precision)
        loaded = start(job, questions, backend, bf16, processes)
        if training.gradient_checkpointing:
            loaded.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        learner = Learner(loaded, bf16, processes)
        trained = {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}
        evaluations = {schedule.steps * turn / training.evaluations for turn in range(1, training.evaluations + 1)}
        evaluated = set(map(round, evaluations)) if questions.held_out else set()

        def score() -> Score:
            val = questions.evaluate(learner)
            return Score(val["nats"], {"val_loss": val["nats"], "val_accuracy": val["accuracy"]}, val)

        run.begin(
            Trained(trained, adamw(trained, schedule.weight_decay)),
            evaluation=Evaluation(lambda step: step in evaluated, score, keep_best=True),
            start=lambda folder: save_start(job.out, folder),
        )
        run.say(
            f"{questions.summary}, {schedule.steps} steps, {sum(map(torch.numel, trained.values())):,} of "
            f"{sum(map(torch.numel, loaded.model.parameters())):,} parameters trained, {loaded.backend.name} "
            f"({loaded.backend.reason}), {processes.count} x {device}, {'bf16' if bf16 else 'float32'}"
        )

        # --- Steps
        for step in run.steps():
            loaded.model.train()
            processes.seed(job.seed, step)  # for dropout
            places = range((step - 1) * per_step, step * per_step)
            mine = processes.share(places)
            loss = torch.zeros((), device=device)
            for first in range(0, len(mine), training.clips_per_batch):
                batch = [questions.asked(place, loaded) for place in mine[first : first + training.clips_per_batch]]
                part = learner.summed_loss(batch) / per_step
                part.backward()
                loss += part.detach()
            run.update(loss, [questions.name(place) for place in places], clips=per_step)

        # --- The finished model
        def write(folder: Path) -> None:
            write_final(loaded, job, questions, folder)

        return run.finish(
            write,
            {
                "epochs": training.epochs,
                "val": run.position.best.about,
                "clips": questions.clips,
                "backend": {"name": loaded.backend.name, "reason": loaded.backend.reason},
                "precision": "bf16" if bf16 else "float32",
            },
        )
