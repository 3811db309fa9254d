"""What an asset makes of a training program that was stopped, or could not store its checkpoints."""

from pathlib import Path
from typing import ClassVar

import dagster as dg

from posellm_assets.defs.common import stored
from posellm_assets.defs.resources import Programs
from posellm_assets.program import Job


class Stopped(Job):
    """A program that was asked to stop and has saved."""

    program: ClassVar[str] = "posellm_assets_tests.assets.stopped"


def test_a_program_that_saved_and_stopped_is_started_again_and_a_lost_upload_is_a_warning(tmp_path: Path) -> None:
    asked: list[dg.RetryRequested] = []
    result = {"store": {"url": "hf://me/x/all-0001", "newest": None, "warnings": ["checkpoint-6 could not be stored"]}}

    @dg.asset
    def training(context: dg.AssetExecutionContext, programs: Programs) -> dg.MaterializeResult:
        try:
            programs.run(context, Stopped(out=tmp_path / "out"))
        except dg.RetryRequested as again:
            asked.append(again)
        return dg.MaterializeResult(metadata=stored(context, result))

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([training], instance=instance, resources={"programs": Programs()})
        logged = [entry.user_message for entry in instance.all_logs(run.run_id) if entry.level == 30]
    assert len(asked) == 1 and asked[0].max_retries == 2
    (made,) = run.asset_materializations_for_node("training")
    assert made.metadata["checkpoints"].value == "hf://me/x/all-0001"
    assert "checkpoint-6 could not be stored" in str(made.metadata["not stored"].value)
    assert logged[-1] == "checkpoint-6 could not be stored"
