"""Sidecars, tables and folders' names that were edited after their clip was taken in."""

import os
from collections.abc import Iterable

from posellm_assets.footage.labels import labels_changed_ns
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import drop_captions, refresh_manifest
from posellm_assets.footage.registry import Registry
from posellm_assets.lake import Lake
from posellm_assets.problems import Problem, attempted, clear_problem, record_problem, sentence


def read_labels_again(lake: Lake, registry: Registry, paths: Iterable[str]) -> list[str]:
    """Take over what is now said about the registered files `paths`; returns the videos of which it is other words.

    The captions of these are removed, so that they are ingested again. Labels that cannot be used are a problem of
    their video until they are put right.
    """
    changed = []
    for path in paths:
        outcome = registry.latest.get(path)
        if outcome is None or outcome.key is None or outcome.status != "registered":
            continue
        manifest = lake.footage(outcome.key)
        if not manifest.exists() or labels_changed_ns(lake.raw / path) <= manifest.stat().st_mtime_ns:
            continue
        before = attempted(lambda key: read_manifest(lake, key), outcome.key)
        now = attempted(lambda key: refresh_manifest(lake, key), outcome.key)
        if isinstance(now, Exception):
            record_problem(lake, Problem(key=outcome.key, step="footage", reason=sentence(now)))
        else:
            clear_problem(lake, "footage", outcome.key)
            if now != before:
                drop_captions(lake, outcome.key)
                changed.append(outcome.key)
        os.utime(manifest)  # it was held against what is said now
    return changed
