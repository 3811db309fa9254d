"""Train a vision-language model to name actions, by the steps of `vision.train`.

python -m posellm_assets.actions.train JOB.json                                     JOB.json is an `ActionJob`
torchrun --nproc-per-node 2 -m posellm_assets.actions.train JOB.json
"""

from collections.abc import Callable
from typing import Any

from posellm_assets.actions.config import ActionJob
from posellm_assets.program import Report, claim_job, run_training
from posellm_assets.training import backends
from posellm_assets.vision.train import train_on


def train(
    job: ActionJob, backend: backends.Backend, report: Report, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Train `job` to name actions; as `train_on`. Raises UnreadableVideo naming the clip, too."""
    # Imported here, because Unsloth patches transformers and `backends.choose` must have imported it before.
    from posellm_assets.actions.members.vision_language import NamingQuestions

    return train_on(NamingQuestions(job), job, backend, report, stop)


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = claim_job(ActionJob)

    def run(report: Report, stop: Callable[[], bool]) -> None:
        import torch

        train(job, backends.choose(job.model.backend if torch.cuda.is_available() else "hf"), report, stop)

    run_training("actions", run)


if __name__ == "__main__":
    main()
