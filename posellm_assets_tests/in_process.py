"""Programs that a test runs in its own process."""

import importlib
from typing import Any

import dagster as dg

from posellm_assets.defs.resources import Programs
from posellm_assets.program import Job

FUNCTIONS = {
    "dataset": "write_dataset",
    "train": "train",
    "report": "evaluate",
    "train_recogniser": "train",
    "evaluate": "evaluate",
}


class InThisProcess(Programs):
    """Runs the programs here, each on its job as JSON, because a process of its own loads torch for seconds."""

    def run(self, context: dg.AssetExecutionContext, job: Job, progress: Any = None) -> None:
        """See `Programs.run`."""
        program = importlib.import_module(job.program)
        function = getattr(program, FUNCTIONS[job.program.rsplit(".", 1)[1]])
        function(type(job).model_validate_json(job.model_dump_json()), context.log.info)
