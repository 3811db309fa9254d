"""How assets with a partition per video are made: ranges of videos in one run, and bad clips that stop nothing else.

Dagster marks a whole range as materialized when a step returns, and skips the steps behind one that fails. Neither fits
footage, where one clip in a hundred is bad. So the assets from footage to captions are one step that walks a range
through each asset in turn: every finished video is logged at once with its own materialization and checks, and only
good videos turn green. A video that is refused for what it shows is listed with its reason, which is no fault of the
run; one that could not be worked on makes the step fail at the end, naming it, and so does a run in which there was
nothing that could be worked on.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.checksums import forget, record
from posellm_assets.defs.common import code_of, table
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs, retrying_transient_faults
from posellm_assets.files import sha256_of
from posellm_assets.lake import Lake
from posellm_assets.pool import Pool
from posellm_assets.poses.models import ModelUnavailable
from posellm_assets.problems import Problem, attempted, clear_problem, find_problem, record_problem, sentence
from posellm_assets.reports.plain import visible
from posellm_assets.settings import Settings


@dataclass(frozen=True)
class CheckOutcome:
    """The verdict of one check on one video."""

    name: str
    passed: bool
    description: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A video that has been made: what to show, the version of its data, its checks.

    `problem` says why later assets must not use it (a blocking check failed), or is empty.
    """

    metadata: dict[str, Any]
    data_version: str
    checks: tuple[CheckOutcome, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Tools:
    """What a per-video asset works with."""

    context: dg.AssetExecutionContext
    lake: Lake
    settings: Settings
    pool: Pool
    programs: Programs


@dataclass(frozen=True)
class ShowsTooLittle:
    """A video that shows too little for the asset, and what to do about it."""

    reason: str


Outcome = Done | ShowsTooLittle | str
"""What became of a video: done, refused for what it shows, or the reason why it could not be worked on."""


@dataclass(frozen=True)
class VideoAsset:
    """One asset with a partition per video.

    `work` makes the asset for many keys and yields each key with its outcome as soon as it is known; `path` is where
    the asset of a key lies; `needs` names the per-video assets that must be there and have passed. Where `applies` says
    no there is nothing to make: the partition stays empty, which is neither a success nor a failure, and who needs the
    asset of other keys goes without.
    """

    spec: dg.AssetSpec
    work: Callable[[Tools, Sequence[str]], Iterator[tuple[str, Outcome]]]
    path: Callable[[Lake, str], Path]
    needs: tuple["VideoAsset", ...] = ()
    checks: tuple[dg.AssetCheckSpec, ...] = ()
    applies: Callable[[Lake, str], bool] = lambda _lake, _key: True
    version_of: Callable[[Lake, str], str] | None = None
    """The version of its data for a key, where that is another than the content at `path`."""
    beside: tuple[Callable[[Lake, str], Path], ...] = ()
    """Where more of the asset of a key lies."""

    @property
    def name(self) -> str:
        """The asset's name, which is also the name of its step in problems."""
        return self.spec.key.to_user_string()

    def version(self, lake: Lake, key: str) -> str:
        """The version of the data of a key, which is there."""
        return self.version_of(lake, key) if self.version_of else sha256_of(self.path(lake, key))

    def files(self, lake: Lake, key: str) -> list[Path]:
        """All files of the asset of a key."""
        return [place(lake, key) for place in (self.path, *self.beside)]


def video_check(asset: str, name: str, description: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
    """A check of an asset with a partition per video; where a blocking one fails, nothing is made of the video."""
    return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking, partitions_def=videos)


def video_assets(name: str, assets: Sequence[VideoAsset], max_videos_per_run: int) -> dg.AssetsDefinition:
    """One step, `name`, that makes any selection of `assets` for a range of videos.

    A backfill makes runs of at most `max_videos_per_run` partitions each.
    """

    @dg.multi_asset(
        name=name,
        specs=[asset.spec.merge_attributes(metadata=code_of(asset.work)) for asset in assets],
        check_specs=[check for asset in assets for check in asset.checks],
        partitions_def=videos,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(max_videos_per_run),
        pool=name,
    )
    def step(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[LakeResource],
        pool: dg.ResourceParam[PoolResource],
        programs: dg.ResourceParam[Programs],
    ) -> Iterator[dg.MaterializeResult]:
        tools = Tools(context, *lake.opened(), pool.pool(), programs)
        selected = [asset for asset in assets if asset.spec.key in context.selected_asset_keys]
        left_out = _LeftOut()
        with retrying_transient_faults():
            for asset in selected:
                _make(tools, asset, [key for key in context.partition_keys if key not in left_out.reasons], left_out)
        yield from ()
        nothing_done = not left_out.refused and 0 < len(context.partition_keys) == len(left_out.reasons)
        if left_out.failed or nothing_done:
            raise _failure(left_out, len(context.partition_keys))
        if left_out.reasons:
            context.log.warning(left_out.told(len(context.partition_keys)))

    return step


@dataclass
class _LeftOut:
    """The videos that did not get through a step: the reason by key, which of them were refused for what they show, and
    which could not be worked on."""

    reasons: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def told(self, total: int) -> str:
        """How many of `total` videos, and the first of them with their reasons."""
        listed = "\n".join(visible(f"{key}: {why}") for key, why in list(self.reasons.items())[:20])
        return f"{len(self.reasons)} of {total} videos did not get through; the others are done.\n{listed}"


def _make(tools: Tools, asset: VideoAsset, keys: Sequence[str], left_out: _LeftOut) -> None:
    """Make `asset` for the `keys` that it applies to; those that do not pass go to `left_out`."""
    wanted: list[str] = []
    elsewhere = 0
    for key in keys:
        blocked = attempted(lambda key: _blocked(tools.lake, asset, key), key)
        if isinstance(blocked, Exception):
            left_out.reasons[key] = _raised(tools, asset, key, blocked)
            left_out.failed.add(key)
        elif blocked:
            left_out.reasons[key] = blocked
        elif blocked is not None:
            wanted.append(key)
        else:
            elsewhere += 1
    if elsewhere:
        tools.context.log.info(f"{asset.name}: nothing to make for {elsewhere} of {len(keys)} videos")
    for key in wanted:
        forget(tools.lake, asset.files(tools.lake, key))
    for number, (key, outcome) in enumerate(_outcomes(tools, asset, wanted), start=1):
        if isinstance(outcome, Done):
            record(tools.lake, asset.files(tools.lake, key))
            _log_done(tools.context, asset, key, outcome)
            problem = outcome.problem
        elif isinstance(outcome, ShowsTooLittle):
            problem = outcome.reason
        else:
            problem = outcome
            left_out.failed.add(key)
        if problem:
            left_out.reasons[key] = f"{asset.name}: {problem}"
            if key not in left_out.failed:
                left_out.refused.add(key)
            record_problem(tools.lake, Problem(key=key, step=asset.name, reason=problem))
            tools.context.log.warning(visible(f"{asset.name} {number}/{len(wanted)}: {key}: {problem}"))
        else:
            clear_problem(tools.lake, asset.name, key)
            tools.context.log.info(f"{asset.name} {number}/{len(wanted)}: {key}")


def _outcomes(tools: Tools, asset: VideoAsset, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Each key with its outcome. Where the work on many raises, the rest is made one by one, to find whose fault it is.

    What is no clip's fault (a lost connection, no pose model) is raised.
    """
    left, work = dict.fromkeys(keys), asset.work(tools, keys)
    while not isinstance(found := attempted(next, work), Exception):
        left.pop(found[0])
        yield found
    if isinstance(found, (ConnectionError, TimeoutError, ModelUnavailable)):
        raise found
    if isinstance(found, StopIteration):
        return
    if len(keys) == 1:
        yield keys[0], _raised(tools, asset, keys[0], found)
        return
    for key in left:
        yield from _outcomes(tools, asset, [key])


def _raised(tools: Tools, asset: VideoAsset, key: str, error: Exception) -> str:
    """Log where the work on a clip raised; returns the reason."""
    tools.context.log.error(f"{asset.name}: {key}\n{''.join(traceback.format_exception(error))}")
    return sentence(error)


def _blocked(lake: Lake, asset: VideoAsset, key: str) -> str | None:
    """Why an asset cannot be made for a video, empty where it can; None where there is nothing to make."""
    if not asset.applies(lake, key):
        return None
    for needed in asset.needs:
        if not needed.applies(lake, key):
            continue
        if problem := find_problem(lake, needed.name, key):
            return f"{problem.step}: {problem.reason}"
        if not needed.path(lake, key).exists():
            return f"{asset.name}: there is no {needed.name} for this video yet; materialize {needed.name} first"
    return ""


def version_tags(instance: dg.DagsterInstance, spec: dg.AssetSpec, key: str, data_version: str) -> dict[str, str]:
    """What a materialization of a video says of its versions and of those that it was made of, by which Dagster tells
    whether it is up to date. Events that are logged by hand have none of it otherwise."""
    tags = {"dagster/data_version": data_version, "dagster/code_version": spec.code_version or ""}
    for dependency in spec.deps:
        name = dependency.asset_key.to_user_string()
        for partition in (key, None):  # a tokenizer has no partitions
            record = instance.get_latest_data_version_record(dependency.asset_key, partition_key=partition)
            if record and (version := (record.event_log_entry.tags or {}).get("dagster/data_version")):
                tags[f"dagster/input_data_version/{name}"] = version
                tags[f"dagster/input_event_pointer/{name}"] = str(record.storage_id)
                break
    return tags


def _log_done(context: dg.AssetExecutionContext, asset: VideoAsset, key: str, done: Done) -> None:
    tags = version_tags(context.instance, asset.spec, key, done.data_version)
    context.log_event(
        dg.AssetMaterialization(asset_key=asset.spec.key, partition=key, metadata=done.metadata, tags=tags)
    )
    blocking = {check.name: check.blocking for check in asset.checks}
    for check in done.checks:
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=asset.spec.key,
                check_name=check.name,
                passed=check.passed,
                partition=key,
                blocking=blocking[check.name],
                severity=dg.AssetCheckSeverity.ERROR if blocking[check.name] else dg.AssetCheckSeverity.WARN,
                description=check.description,
                metadata=check.metadata,
            )
        )


def _failure(left_out: _LeftOut, total: int) -> dg.Failure:
    return dg.Failure(
        description=left_out.told(total),
        metadata={"failed videos": table(("video", "why"), left_out.reasons.items())},
        allow_retries=False,
    )
