"""What is installed is what was tested: every package by its version."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from posellm_assets_tests.conftest import ROOT

PINS = {
    canonicalize_name(one.name): one
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for one in [Requirement(line)]
}


def _needed(
    package: str, extras: frozenset[str] = frozenset(), seen: set[tuple[str, frozenset[str]]] | None = None
) -> set[str]:
    """What a package needs on this machine, directly and in turn, of what is installed."""
    seen = set() if seen is None else seen
    if (package, extras) in seen:
        return set()
    seen.add((package, extras))
    found = set()
    for line in requires(package) or ():
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            name = canonicalize_name(one.name)
            found |= {name} | _needed(name, frozenset(one.extras), seen)
    return found


def test_every_package_that_make_installs_is_pinned() -> None:
    needed = _needed("posellm-assets", frozenset({"dev"})) - {"posellm-assets"}
    assert len(needed) > 100 and needed - set(PINS) == set()
    assert all(re.fullmatch(r"==[^*]+", str(one.specifier)) for one in PINS.values())


@pytest.mark.cluster
def test_every_package_of_a_cluster_is_pinned_and_agrees_with_the_others() -> None:
    needed = _needed("posellm-assets", frozenset({"dev", "cluster"})) - {"posellm-assets"}
    assert {"ray", "dagster-postgres"} < needed and needed - set(PINS) == set()
    # Who keeps checkpoints on S3 installs it beside all this; a newer one than `datasets` can live with would not go.
    (of_s3,) = PINS["s3fs"].specifier
    assert of_s3.version in {one.version for one in PINS["fsspec"].specifier}


def test_unsloth_which_is_in_part_agpl_is_installed_on_a_gpu_or_when_asked_for_alone() -> None:
    assert "unsloth" not in _needed("posellm-assets", frozenset({"dev"}))
    lines = [line for line in Path(ROOT / "Makefile").read_text().splitlines() if "unsloth" in line.lower()]
    assert len(lines) == 1 and lines[0].strip().startswith("@if command -v nvidia-smi")
