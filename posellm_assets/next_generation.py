"""The next generation of the model: when it is begun, and from which model it starts.

What to do is decided by `generations.retraining.next_step`; here it is asked about a lake and its settings. The sensor
and the demo carry out what is decided.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from posellm_assets.generations.inventory import arrival_of, set_aside_damaged, usable_videos
from posellm_assets.generations.releases import Release, in_use
from posellm_assets.generations.retraining import Freeze, Generation, Scope, Step, Wait, next_step
from posellm_assets.generations.snapshots import Snapshot, freeze, videos_of_last_snapshot
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.lake import Lake
from posellm_assets.language.origin import Origin
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.motion.drift import drifting_sports
from posellm_assets.settings import Settings


def decide(lake: Lake, settings: Settings, generations: Mapping[str, Generation]) -> Step:
    """What is to be done next with the footage in `lake`, while nothing is running.

    `generations` holds the newest one of each scope. A generation's reason names the sports that the codes do not
    express, before anything is trained on them.
    """
    try:
        usable, lineage = usable_videos(lake), lineage_in_use(lake)
    except (ValueError, OSError) as error:
        return Wait(f"no generation is begun: {error}")
    try:
        return _decide(lake, settings, generations, usable, lineage)
    except (ValueError, OSError) as error:
        if set_aside_damaged(lake, usable, lineage):
            return decide(lake, settings, generations)
        return Wait(f"no generation is begun: {error}")


def _decide(
    lake: Lake, settings: Settings, generations: Mapping[str, Generation], usable: set[str], lineage: str | None
) -> Step:
    rules = settings.automation.rules
    step = next_step(
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
    )
    if isinstance(step, Freeze) and lineage:
        drift = map(str, drifting_sports(lake, lineage, step.keys))
        return replace(step, reason="; ".join([step.reason, *drift]))
    return step


def freeze_snapshot(lake: Lake, settings: Settings, step: Freeze) -> Snapshot:
    """Freeze a snapshot whose parent is the released model of its scope, else of all sports.

    It starts from the base where there is none of the codes in use and of the base that is set; its reason says so.
    """
    lineage = lineage_in_use(lake)
    assert lineage, "next_step asks for a generation only when there is a tokenizer"
    champion = in_use(lake, "language", step.scope) or in_use(lake, "language")
    unfit = _unfit(lake, settings, lineage, champion) if champion else ""
    return freeze(
        lake,
        step.keys,
        lineage,
        parent=champion.name if champion and not unfit else None,
        settings=settings.model_dump(mode="json"),
        scope=step.scope,
        reason="; ".join(filter(None, [step.reason, unfit])),
    )


def _unfit(lake: Lake, settings: Settings, lineage: str, champion: Release) -> str:
    """Why a released model cannot be the parent of the next generation; empty where it can."""
    if champion.lineage != lineage:
        return f"starts from the base, because {champion.name} uses the codes of {champion.lineage}"
    model, _ = settled(settings.language.model, settings.language.stages[0], find_hardware())
    origin = Origin.read(champion.path(lake))
    if origin.fits(model):
        return ""
    return f"starts from {Origin.of_base(model)} as set, because {champion.name} was made from {origin}"
