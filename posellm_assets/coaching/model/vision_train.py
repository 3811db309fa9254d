"""Train a vision-language model to coach, by the steps of `vision.train`.

    python -m posellm_assets.coaching.model.vision_train JOB.json

Its JSON is a `CoachingVisionJob` on the folder of a coaching data set; what it writes is what `vision.train` writes.
"""

from collections.abc import Callable
from typing import Any

from posellm_assets.coaching.model.config import CoachingVisionJob
from posellm_assets.program import Report, claim_job, run_training
from posellm_assets.training import backends
from posellm_assets.vision.train import train_on


def train(
    job: CoachingVisionJob, backend: backends.Backend, report: Report, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Train `job` on the rows with pictures; as `train_on`. Raises UnusableCoaching naming the file, too."""
    # Imported here, because Unsloth patches transformers and `backends.choose` must have imported it before.
    from posellm_assets.coaching.model.vision_coach import RowQuestions

    return train_on(RowQuestions(job), job, backend, report, stop)


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = claim_job(CoachingVisionJob)

    def run(report: Report, stop: Callable[[], bool]) -> None:
        import torch

        train(job, backends.choose(job.model.backend if torch.cuda.is_available() else "hf"), report, stop)

    run_training("coaching", run)


if __name__ == "__main__":
    main()
