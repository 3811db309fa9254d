"""Motions as files for other programs, by the ending of the file's name."""

from pathlib import Path

from posellm_assets.motion.arrays import write_npy
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES

ENDINGS = (".bvh", ".npy", *PICTURES)


def write_motion(motion: Motion, out: Path, title: str) -> None:
    """Write `motion` as `.bvh`, `.npy` (with its declaration beside it), `.mp4` or `.gif`; pictures carry the title.

    Raises ValueError for another ending, or where the format cannot hold the motion.
    """
    if out.suffix == ".bvh":
        write_bvh(motion, out)
    elif out.suffix == ".npy":
        write_npy(motion, out)
    elif out.suffix in PICTURES:
        PICTURES[out.suffix]([motion], out, [title])
    else:
        raise ValueError(f"{out}: a motion is written as {', '.join(ENDINGS)}")
