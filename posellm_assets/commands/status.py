"""The state of a lake at a glance, for `posellm status`."""

import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Any

from posellm_assets.footage.intake import status
from posellm_assets.footage.registry import registry_of
from posellm_assets.generations.inventory import unfinished_videos, usable_videos
from posellm_assets.generations.releases import KINDS, Release, candidates, in_use
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.keys import ALL_SPORTS, sport_of
from posellm_assets.lake import Lake, ModelKind
from posellm_assets.motion.drift import Drift, drifting_sports
from posellm_assets.problems import all_problems, attempted, sentence
from posellm_assets.settings import Settings, load_settings
from posellm_assets.waiting import OLD_S, Sensor, last_said


def told(found: dict[str, Any]) -> str:
    """An overview in a sentence: what is released, what waits, what was refused and why, and what comes next."""
    release, refused = found["in_use"]["language"], found["refused"]["language"]
    parts = [f"released: {release['name']}" if release else "nothing is released yet"]
    waits = found["new"] + found["unfinished"]["videos"] + len(found["waiting"])
    parts.append(f"{waits} clip{'s wait' if waits != 1 else ' waits'}" if waits else "no clip waits")
    newest = next(reversed(refused), None)
    if newest:
        parts.append(f"{newest} was refused {refused[newest]}")
    return "; ".join([*parts, f"next: {found['until_next']}"])


def _until_next(settings: Settings, new: int) -> str:
    """What the next generation over all sports waits for."""
    rule = settings.automation.rules.get(ALL_SPORTS)
    if rule is None:
        return "a generation starts when its job is run by hand"
    left = [f"{new} of {rule.min_new_videos} clips"] if rule.min_new_videos else []
    left += [f"{rule.min_new_minutes:g} minutes"] if rule.min_new_minutes else []
    left += [f"{rule.max_days:g} days from the first"] if rule.max_days else []
    if rule.min_new_videos and new >= rule.min_new_videos:
        return f"a generation, for which {new} clips are there"
    return f"{' or '.join(left)} until the next generation"


def _new(lake: Lake) -> int:
    """How many usable videos are in no snapshot over all sports yet."""
    names = snapshot_keys(lake)
    known = {video.key for video in read_snapshot(lake, names[-1]).videos} if names else set()
    return len(usable_videos(lake) - known)


def overview(lake: Lake) -> dict[str, Any]:
    """Videos per sport, what is not used and why, what waits, snapshots, and the models in use (JSON values).

    `new` counts the clips that are ready and in no snapshot, `until_next` says what the next generation waits for.
    `unfinished` says how many registered videos wait and for what, `next` what the next generation waits for, `asleep`
    that no sensor has looked of late. `drift` names the sports that the codes of the tokenizer do not express, until
    another is trained; `left` the generations that failed and are left for a person, `refused` the models that were
    measured and not put in use, with why.

    Raises FileNotFoundError where there is no lake.
    """
    if not lake.root.is_dir():
        raise FileNotFoundError(f"there is no lake in {lake.root}; `posellm add` makes one, --lake names another")
    footage, counted = status(lake), attempted(_new, lake)
    new = 0 if isinstance(counted, Exception) else counted
    registered = Counter(map(sport_of, footage.videos))
    ready = Counter(map(sport_of, set(lake.captioned_videos()) & set(footage.videos)))
    found = {kind: attempted(partial(in_use, lake), kind) for kind in KINDS}
    used = {kind: None if isinstance(one, Exception) else one for kind, one in found.items()}
    drift = attempted(partial(_drift, lake), used["tokenizer"])
    not_used = [
        {"what": f"raw/{path}", "why": f"quarantined: {reason}"} for path, reason in footage.quarantined.items()
    ]
    not_used += [{"what": f"raw/{path}", "why": f"same content as {key}"} for path, key in footage.duplicates.items()]
    not_used += [{"what": key, "why": "its file is no longer in the drop zone"} for key in footage.gone]
    if damaged := registry_of(lake).damaged:
        lines = f"damaged: line {', '.join(map(str, damaged))}; `posellm lake check --repair` writes it anew"
        not_used.append({"what": str(lake.registry), "why": lines})
    not_used += [
        {"what": what, "why": sentence(why)}
        for what, why in {
            **{f"{kind} in use": one for kind, one in found.items()},
            "drift": drift,
            "new clips": counted,
        }.items()
        if isinstance(why, Exception)
    ]
    problems = all_problems(lake)
    left = [problem for problem in problems if "." not in problem.key]
    not_used += [
        {"what": problem.key, "why": f"{problem.step}: {problem.reason}"} for problem in problems if problem not in left
    ]
    return {
        "keys": footage.videos,
        "sports": [
            {"sport": sport, "registered": count, "ready": ready[sport]} for sport, count in sorted(registered.items())
        ],
        "not_used": not_used,
        "waiting": footage.waiting,
        "unfinished": _unfinished(lake),
        "new": new,
        "until_next": _until_next(load_settings(lake), new),
        "next": _said(lake, "training"),
        "asleep": _asleep(lake),
        "drift": [] if isinstance(drift, Exception) else [asdict(of_sport) for of_sport in drift],
        "snapshots": snapshot_keys(lake),
        "left": {problem.key: problem.reason for problem in left},
        "refused": {kind: _refused(lake, kind) for kind in KINDS},
        "in_use": {kind: release and release.model_dump(mode="json") for kind, release in used.items()},
    }


def _drift(lake: Lake, tokenizer: Release | None) -> list[Drift]:
    return drifting_sports(lake, tokenizer.name, lake.tokenised_videos(tokenizer.name)) if tokenizer else []


def _refused(lake: Lake, kind: ModelKind) -> dict[str, str]:
    found = attempted(partial(candidates, lake), kind)
    return {} if isinstance(found, Exception) else {name: outcome.refusal for name, outcome in found.items()}


def _unfinished(lake: Lake) -> dict[str, Any]:
    """How many registered videos are neither ready nor troubled, and what the sensor said of them."""
    count = len(unfinished_videos(lake))
    return {"videos": count, "why": _said(lake, "ingest") if count else []}


def _said(lake: Lake, sensor: Sensor) -> list[str]:
    last = last_said(lake, sensor)
    return last.said if last else []


def _asleep(lake: Lake) -> str:
    """Why nothing starts by itself; empty where a sensor has looked of late."""
    last = last_said(lake, "ingest")
    if last is None:
        return "no sensor has looked at this lake yet; `make ui` starts them"
    if time.time() - last.at_s < OLD_S:
        return ""
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(last.at_s))
    return f"no sensor has looked since {at}; start `make ui`, and see there that new_footage_sensor runs"
