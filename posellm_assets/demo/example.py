"""A clip to try the coach on: squats of a rendered athlete, of which two are shallow."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.demo.footage import plan, render_clip, with_faults

FILE, EXERCISE = "squats.mp4", "squat"
SHALLOW_SQUATS = (3, 5)
"""The numbers of the shallow squats."""
_SQUATS = 6


def render_example(folder: Path) -> Path:
    """Write the clip to a folder, and return its path. Raises FileExistsError where it is there already."""
    target = folder / FILE
    if target.exists():
        raise FileExistsError(f"{target} is there already; name another folder")
    squats = [DemoRepetition("shallow" if number in SHALLOW_SQUATS else None) for number in range(1, _SQUATS + 1)]
    clip = next(clip for clip in plan() if clip.label == EXERCISE)
    clip = with_faults(replace(clip, camera=replace(clip.camera, azimuth_deg=10.0)), squats)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as name:
        render_clip(clip, Path(name)).rename(target)
    return target
