"""Train one stage: `python -m posellm_assets.language.train JOB.json`, where JOB.json is a `StageJob`.

Killed and started again with the same job, it goes on from the newest valid checkpoint. The loop itself is `stage.py`;
this module only sees to it that Unsloth, where it is used, is imported before anything that it patches.
"""

import sys

from posellm_assets.language import backends
from posellm_assets.language.config import StageJob
from posellm_assets.program import read_config, reporting


def main() -> None:
    """Run the job named on the command line; exits with a sentence where the job itself is at fault."""
    job = read_config(StageJob)
    with reporting() as report:
        try:
            backend = backends.choose(job.model.backend)
            from posellm_assets.language import stage
        except backends.BackendUnavailable as error:
            sys.exit(f"{job.stage.name}: {error}")
        try:
            stage.train(job, backend, report)
        except stage.REFUSALS as error:
            sys.exit(f"{job.stage.name}: {error}")


if __name__ == "__main__":
    main()
