"""Bringing back what can be brought back of a damaged lake. What is damaged is moved to `damaged/`, never removed."""

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from posellm_assets.checksums import SUMS, forget, record, record_list, record_with_copy
from posellm_assets.files import write_bytes
from posellm_assets.lake import Lake
from posellm_assets.lake_check.fault import INGESTED, Fault, has_copy, is_kept_twice, key_of, to_move
from posellm_assets.lake_check.faults import damage, unrecorded
from posellm_assets.lake_check.footage import register_again, rewrite_registry
from posellm_assets.problems import attempted


def repair(lake: Lake, found: Iterable[Fault]) -> list[Path]:
    """Bring back what can be; returns the files of which that is so.

    The registry is written anew as the manifests tell, a manifest is made anew from its file in the drop zone, of what
    nothing makes again a second copy is put back, and all else goes, so that the next runs make it. Of a video whose
    poses or motion are affected the captions go too: without them it is ingested again. What has no record, or a
    damaged one, is recorded where it is read without fault.
    """
    paths = [fault.path for fault in found if fault.repairable]
    # Records last: they are made anew of what is right by then.
    paths.sort(key=lambda path: _is_record(lake, path))
    repaired = [path for path in paths if not isinstance(attempted(partial(_bring_back, lake), path), Exception)]
    for path in unrecorded(lake):
        if not damage(lake, path):
            _record(lake, path)
    return repaired


def _bring_back(lake: Lake, path: Path) -> None:
    top = path.relative_to(lake.root).parts[0]
    if _is_record(lake, path):
        _move_away(lake, path)
        _record_anew(lake, path)
    elif path == lake.registry:
        _move_away(lake, path, keep=path.is_file())
        rewrite_registry(lake)
    elif top == "footage":
        _move_away(lake, path)
        register_again(lake, key_of(path))
    elif has_copy(lake, path):
        _move_away(lake, path)
        write_bytes(path, lake.second_copy(path).read_bytes())
    else:
        # What is made of poses and motion goes with them: captions, the last of it, are what an ingest is asked for by.
        for one in [*to_move(lake, path), *([lake.captions(key_of(path))] if top in INGESTED else [])]:
            forget(lake, [one])
            _move_away(lake, one)


def _is_record(lake: Lake, path: Path) -> bool:
    return path.name == SUMS or lake.checksums in path.parents


def _record_anew(lake: Lake, path: Path) -> None:
    """Record what a damaged record was about, where it is read without fault."""
    if path.name == SUMS:
        if not any(damage(lake, one) for one in path.parent.iterdir() if one.is_file()):
            record_list(path.parent)
        return
    place = lake.root / path.relative_to(lake.checksums).with_suffix("")
    if path.suffix == ".copy":
        record_with_copy(lake, place)
    elif not damage(lake, place):
        _record(lake, place)


def _record(lake: Lake, path: Path) -> None:
    if is_kept_twice(lake, path):
        record_with_copy(lake, path)
    else:
        record(lake, [path])


def _move_away(lake: Lake, path: Path, keep: bool = False) -> None:
    """Move a file, or what stands in its place, to `damaged/`; a copy of it where it is to be kept."""
    if not os.path.lexists(path):
        return
    target = lake.damaged / path.relative_to(lake.root)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif path.is_dir():
        target.unlink(missing_ok=True)
    if keep:
        shutil.copyfile(path, target)
    else:
        os.replace(path, target)
