"""What the UI shows of a program while it runs."""

import json
import time
from pathlib import Path

import dagster as dg

from posellm_assets.defs.program_assets import progress
from posellm_assets.defs.resources import observed

SNAPSHOTS = dg.StaticPartitionsDefinition(["all-0001"])


def test_the_curve_of_a_stage_is_there_before_the_stage_has_ended(tmp_path: Path) -> None:
    losses = tmp_path / "losses.jsonl"

    @dg.asset(partitions_def=SNAPSHOTS)
    def stage(context: dg.AssetExecutionContext) -> None:
        with observed(context, lambda: progress(tmp_path), every_s=0.05):
            time.sleep(0.2)  # no step yet: nothing to show
            for step in (1, 2):
                told = {"step": step, "loss": 3.0 / step, "lr": 1e-3, "grad_norm": 1.0, "memory_mb": 9.0}
                with losses.open("a") as log:
                    log.write(json.dumps({**told, "tokens_per_s": 50.0, "labels_per_s": 20.0}) + "\n")
                while len(seen(context.instance)) < step:
                    time.sleep(0.02)

    def seen(instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
        records = instance.fetch_observations(dg.AssetKey("stage"), limit=100).records
        found = [record.asset_observation for record in records]
        return [observation for observation in found if observation is not None]

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([stage], partition_key="all-0001", instance=instance).success
        first = seen(instance)[-1]
        assert instance.get_latest_materialization_event(dg.AssetKey("stage")) is not None
    assert (first.partition, first.metadata["loss"].value) == ("all-0001", 3.0)
    assert first.metadata["tokens_per_s"].value == 50.0 and "image/png" in str(first.metadata["losses"].value)
