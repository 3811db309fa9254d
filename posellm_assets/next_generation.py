"""The next generation of the model: when it is begun, and from which model it starts.

What to do is decided by `generations.retraining.next_step`; here it is asked about a lake and its settings. The sensor
and the demo carry out what is decided.
"""

import time
from collections.abc import Collection, Mapping, Sequence

from posellm_assets.generations.inventory import arrival_of, set_aside_damaged, usable_videos
from posellm_assets.generations.releases import Release, in_use
from posellm_assets.generations.retraining import IDLE, Busy, Generation, Scope, Step, Wait, next_step
from posellm_assets.generations.snapshots import (
    Snapshot,
    SnapshotError,
    freeze,
    next_snapshot,
    videos_of_last_snapshot,
)
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.keys import ALL_SPORTS, snapshot_scope, sport_of
from posellm_assets.lake import Lake
from posellm_assets.language.origin import Origin
from posellm_assets.language.plan import settled, training_hardware
from posellm_assets.motion.drift import drifting_sports
from posellm_assets.settings import Settings


def decide(
    lake: Lake,
    settings: Settings,
    generations: Mapping[str, Generation],
    busy: Busy = IDLE,
    at_work: Collection[str] = (),
) -> Step:
    """What is to be done next with the footage in `lake`, beside what is `busy`.

    `generations` holds the newest one of each scope; the videos `at_work` are in the hands of an unfinished run and
    count when that has ended.
    """
    try:
        usable, lineage = usable_videos(lake) - set(at_work), lineage_in_use(lake)
    except (ValueError, OSError) as error:
        return Wait(f"no generation is begun: {error}")
    try:
        return _decide(lake, settings, generations, busy, usable, lineage)
    except (ValueError, OSError) as error:
        if set_aside_damaged(lake, usable, lineage):
            return decide(lake, settings, generations, busy, at_work)
        return Wait(f"no generation is begun: {error}")


def _decide(
    lake: Lake,
    settings: Settings,
    generations: Mapping[str, Generation],
    busy: Busy,
    usable: set[str],
    lineage: str | None,
) -> Step:
    rules = settings.automation.rules
    return next_step(
        usable=usable,
        tokenised=lake.tokenised_videos(lineage) if lineage else (),
        lineage=lineage,
        scopes={
            scope: Scope(videos_of_last_snapshot(lake, lineage, scope) if lineage else (), generations.get(scope))
            for scope in rules
        },
        rules=rules,
        arrival=lambda key: arrival_of(lake, key),
        now_s=time.time(),
        busy=busy,
    )


def freeze_snapshot(lake: Lake, settings: Settings, name: str) -> Snapshot:
    """Freeze `name`, the next snapshot of its scope, over all usable videos with tokens of the codes in use.

    Its parent is the released model of its scope, else of all sports. It starts from the base where there is none of
    the codes in use and of the base that is set. Its reason says so, and names the sports that the codes do not
    express, before anything is trained on them. Raises SnapshotError where there is nothing to freeze or `name` is not
    the next one, OSError where the drop zone cannot be listed.
    """
    lineage, scope = lineage_in_use(lake), snapshot_scope(name)
    if lineage is None:
        raise SnapshotError(f"{name}: there is no tokenizer yet; materialize motion_tokenizer and motion_tokens first")
    if name != next_snapshot(lake, scope):
        raise SnapshotError(f"{name} is not frozen, and the next snapshot is {next_snapshot(lake, scope)}")
    ready = usable_videos(lake) & set(lake.tokenised_videos(lineage))
    keys = [key for key in ready if scope in (ALL_SPORTS, sport_of(key))]
    try:
        return _frozen(lake, settings, scope, keys, lineage)
    except (ValueError, OSError):
        if set_aside_damaged(lake, keys, lineage):
            return freeze_snapshot(lake, settings, name)
        raise


def _frozen(lake: Lake, settings: Settings, scope: str, keys: Sequence[str], lineage: str) -> Snapshot:
    new = set(keys) - videos_of_last_snapshot(lake, lineage, scope)
    champion = in_use(lake, "language", scope) or in_use(lake, "language")
    unfit = _unfit(lake, settings, lineage, champion) if champion else ""
    drift = map(str, drifting_sports(lake, lineage, keys))
    return freeze(
        lake,
        keys,
        lineage,
        parent=champion.name if champion and not unfit else None,
        settings=settings.model_dump(mode="json"),
        scope=scope,
        reason="; ".join(filter(None, [f"{scope}: {len(new)} new videos", *drift, unfit])),
    )


def _unfit(lake: Lake, settings: Settings, lineage: str, champion: Release) -> str:
    """Why a released model cannot be the parent of the next generation; empty where it can."""
    if champion.lineage != lineage:
        return f"starts from the base, because {champion.name} uses the codes of {champion.lineage}"
    model, _ = settled(settings.language.model, settings.language.stages[0], training_hardware(settings.cluster))
    origin = Origin.read(champion.path(lake))
    if origin.fits(model):
        return ""
    return f"starts from {Origin.of_base(model)} as set, because {champion.name} was made from {origin}"
