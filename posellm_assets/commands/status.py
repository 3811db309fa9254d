"""The state of a lake at a glance, for `posellm status`."""

import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from posellm_assets.footage.intake import status
from posellm_assets.generations.inventory import unfinished_videos
from posellm_assets.generations.releases import KINDS, in_use
from posellm_assets.generations.snapshots import snapshot_keys
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets.motion.drift import drifting_sports
from posellm_assets.problems import all_problems
from posellm_assets.waiting import OLD_S, Sensor, last_said


def overview(lake: Lake) -> dict[str, Any]:
    """Videos per sport, what is not used and why, what waits, snapshots, and the models in use (JSON values).

    `unfinished` says how many registered videos wait and for what, `next` what the next generation waits for, `asleep`
    that no sensor has looked of late. `drift` names the sports that the codes of the tokenizer do not express, until
    another is trained; `left` the generations that failed and are left for a person.
    """
    footage, lineage = status(lake), lineage_in_use(lake)
    drift = drifting_sports(lake, lineage, lake.tokenised_videos(lineage)) if lineage else []
    ready = Counter(map(sport_of, lake.captioned_videos()))
    used = {kind: in_use(lake, kind) for kind in KINDS}
    not_used = [
        {"what": f"raw/{path}", "why": f"quarantined: {reason}"} for path, reason in footage.quarantined.items()
    ]
    not_used += [{"what": f"raw/{path}", "why": f"same content as {key}"} for path, key in footage.duplicates.items()]
    problems = all_problems(lake)
    left = [problem for problem in problems if "." not in problem.key]
    not_used += [
        {"what": problem.key, "why": f"{problem.step}: {problem.reason}"} for problem in problems if problem not in left
    ]
    return {
        "keys": lake.registered_videos(),
        "sports": [
            {"sport": sport, "registered": count, "ready": ready[sport]} for sport, count in footage.videos.items()
        ],
        "not_used": not_used,
        "waiting": footage.waiting,
        "unfinished": _unfinished(lake),
        "next": _said(lake, "training"),
        "asleep": _asleep(lake),
        "drift": [asdict(of_sport) for of_sport in drift],
        "snapshots": snapshot_keys(lake),
        "left": {problem.key: problem.reason for problem in left},
        "in_use": {kind: release and release.model_dump(mode="json") for kind, release in used.items()},
    }


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
