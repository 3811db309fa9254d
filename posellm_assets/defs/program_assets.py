"""Assets that a program makes: a job, its run in a process of its own, and what to show of the result.

A training shows its progress while it runs: the newest step (loss, learning rate, rate, memory, time left) and the
curves so far become observations of its asset.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import dagster as dg

from posellm_assets.checksums import check_model, forget_folder, record_folder
from posellm_assets.defs.common import figures, listed, picture, snapshot_asset, stored
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.files import read_json
from posellm_assets.generations.releases import promote_if_passed
from posellm_assets.lake import FINAL, LOSSES, RESULT, Lake, ModelKind
from posellm_assets.program import Job
from posellm_assets.settings import Settings
from posellm_assets.training.curves import entries_of, training_png

JobT = TypeVar("JobT", bound=Job)
JobOf = Callable[[Lake, Settings, str], JobT]
"""Makes the job of a partition; the key of an asset without partitions is empty."""


@dataclass(frozen=True)
class Ran(Generic[JobT]):
    """A job that has been run, and where."""

    context: dg.AssetExecutionContext
    lake: Lake
    settings: Settings
    job: JobT

    @property
    def out(self) -> Path:
        """The folder of the results."""
        return self.job.out


def program_asset(
    group: str,
    *,
    job: JobOf[JobT],
    deps: Iterable[str | dg.AssetDep],
    kinds: set[str],
    first: Callable[[Lake, Settings, str], Job | None] = lambda lake, settings, key: None,
    partitions_def: dg.PartitionsDefinition[str] | None = snapshots,
    name: str | None = None,
    description: str | None = None,
    code_version: str = "1",
    checks: Sequence[dg.AssetCheckSpec] = (),
) -> Callable[[Callable[[Ran[JobT]], dg.MaterializeResult]], dg.AssetsDefinition]:
    """An asset made by the program of `job`; the decorated function says what to show of the result.

    Its name and docstring are those of the asset unless others are given. `first` is a job that must have run before,
    where there is one.
    """

    def decorate(show: Callable[[Ran[JobT]], dg.MaterializeResult]) -> dg.AssetsDefinition:
        @snapshot_asset(
            group,
            deps=deps,
            kinds=kinds,
            code_version=code_version,
            pool="train",
            shown_by=show,
            name=name or show.__name__,
            description=description or inspect.getdoc(show),
            partitions_def=partitions_def,
            check_specs=checks,
        )
        def asset(
            context: dg.AssetExecutionContext,
            lake: dg.ResourceParam[LakeResource],
            programs: dg.ResourceParam[Programs],
        ) -> dg.MaterializeResult:
            here, settings = lake.opened()
            key = context.partition_key if context.has_partition_key else ""
            with retrying_transient_faults():
                if before := first(here, settings, key):
                    programs.run(context, before)
                own = job(here, settings, key)
                if (own.out / RESULT).exists():  # a training that is finished would be taken as it is
                    check_model(own.out)
                forget_folder(own.out)
                programs.run(context, own, lambda: progress(own.out))
                record_folder(own.out)
            return show(Ran(context, here, settings, own))

        return asset

    return decorate


def progress(out: Path) -> dict[str, Any]:
    """The newest step of the training in `out` and its curves so far; nothing before its first step."""
    entries = entries_of(out / LOSSES)
    return {**entries[-1], "losses": picture(training_png(entries))} if entries else {}


def curves(out: Path) -> dg.MarkdownMetadataValue:
    """What the training in `out` has logged, as a picture."""
    return picture(training_png(entries_of(out / LOSSES)))


def trained(ran: Ran[Any], model: str = "model") -> dict[str, Any]:
    """What every training shows: its figures, its curves, and where checkpoints and the finished `model` are."""
    result = read_json(ran.out / RESULT)
    return {
        **figures(result),
        **({"held_out": result["val"]} if result.get("val") else {}),
        **stored(ran.context, result),
        "losses": curves(ran.out),
        model: ran.out / FINAL,
    }


def promoted(ran: Ran[Any], kind: ModelKind, model: Path, lineage: str) -> dict[str, Any]:
    """Put a model in use where its report, which has just been made, passed the gate; whether it did, and why."""
    key, by = ran.context.partition_key, f"gate, run {ran.context.run.run_id}"
    passed, reasons = promote_if_passed(ran.lake, kind, key, folder=model, lineage=lineage, by=by)
    return {"promoted": passed, "reasons": listed(reasons)}
