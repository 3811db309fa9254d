"""Any skeleton: what importing, the representation and BVH add to a tokenizer's own error. `python bench/skeletons.py`

1. Encoding and decoding the representation gives every joint back within 0.01 mm: on BVH files and the 360 clips of a
   motion-capture table, on their own skeleton and on BODY, and on the poses of three real videos.
2. BVH in, tokens, BVH out: a small tokenizer (about a minute of CPU) is trained on most of the BVH files, on their own
   skeleton, by the project's program. The error of the whole way on the files that it has not seen, joints read back
   from the written BVH files against joints of the original ones, is the tokenizer's own error within 0.1 mm.

The data is that of `mocap.py`; takes for the test are those whose name ends in 002 (other takes of movements that the
training has seen, by the same actors).
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mocap import data_folder
from rich.console import Console
from rich.table import Table

from posellm_assets.keys import slug
from posellm_assets.lake import FINAL
from posellm_assets.motion.bvh import motion_from_bvh
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.config import MotionConfig, TokenizerConfig, TokenizerJob
from posellm_assets.motion.errors import mpjpe_mm
from posellm_assets.motion.formats import read_motions
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import decode, encode, placed
from posellm_assets.motion.resampling import resample
from posellm_assets.motion.retarget import retarget
from posellm_assets.motion.sources import Declaration
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.train_tokenizer import train
from posellm_assets.pool import LocalPool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, extract_clips
from posellm_assets.poses.models import ensure_model
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of

FPS = 20.0
STEPS = 1500
VIDEOS = ("perfanalytic__single_cam01", "perfanalytic__single_cam02", "davidpagnon__demo_old")
ROUND_TRIP_MM = 0.01
ADDED_MM = 0.1


def round_trip_mm(motions: Iterable[Motion]) -> tuple[int, float]:
    """How many motions there were, and the largest error of any coordinate."""
    errors = [
        float(np.abs(decode(encode(motion), motion.skeleton, motion.fps).joints - placed(motion).joints).max())
        for motion in motions
    ]
    return len(errors), 1000 * max(errors)


def video_motions(folder: Path) -> list[Motion]:
    """The motions of a few short real videos."""
    ensure_model(PoseConfig().network)
    motions = []
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        videos = [next(folder.rglob(f"{video}.mp4")) for video in VIDEOS]
        clips = [PoseItem(v.stem, v, out / f"{v.stem}.parquet", out / "q.json", out / "s.jpg") for v in videos]
        for _, summary in extract_clips(clips, LocalPool(1), PoseConfig()):
            if isinstance(summary, Exception):
                raise summary
        for clip in clips:
            poses = Poses.read(clip.poses)
            motions += motion_from_poses(subject_of(poses), MotionConfig()).segments(0.8)
    return motions


def through_tokens(files: list[Path], folder: Path) -> tuple[list[float], int, float]:
    """On the test files, in mm: the tokenizer's error, that of the whole way, the furthest that a joint is from where
    the tokenizer put it; how many files, and CPU seconds.
    """
    started = time.process_time()
    motions = {file.stem: resample(motion_from_bvh(file, Declaration()), FPS) for file in files}
    test = [name for name in motions if name.endswith("002")]
    train_files = [_write(motions[name], name, folder) for name in motions if name not in test]
    config = TokenizerConfig(start="own", steps=STEPS, windows=(16, 32, 64))
    job = TokenizerJob(train=train_files, held_out=[], out=folder / "tokenizer", config=config)
    train(job, lambda message: None)
    tokenizer = MotionTokenizer.load(folder / "tokenizer" / FINAL)
    own, whole, moved = [], [], []
    for name in test:
        rebuilt = tokenizer.decode(tokenizer.encode(motions[name]))
        original = placed(motions[name]).cut(0, len(rebuilt))
        own.append(mpjpe_mm(rebuilt, original))
        write_bvh(rebuilt, folder / "out.bvh")
        back = motion_from_bvh(folder / "out.bvh", Declaration(unit="cm"))
        whole.append(mpjpe_mm(back, original))
        moved.append(1000 * float(np.linalg.norm(back.joints - rebuilt.joints, axis=-1).max()))
    return [float(np.mean(own)), float(np.mean(whole)), max(moved)], len(test), time.process_time() - started


def _write(motion: Motion, name: str, folder: Path) -> Path:
    path = folder / f"mocap.{slug(name)}.00000000.parquet"
    motion.write(path)
    return path


def main() -> int:
    data, console = data_folder(), Console(width=120)
    files = sorted((data / "bvh").glob("*.bvh"))
    bvh = [motion_from_bvh(file, Declaration()) for file in files]
    clips = [found.motion for found in read_motions(data / "bandai_namco.parquet", Declaration())]
    table = Table("motions", "n", "largest error of a coordinate, mm", "target, mm", title="representation")
    missed = False
    for name, motions in (
        ("BVH, own skeleton", bvh),
        ("table, own skeleton", clips),
        ("table, on BODY", [retarget(motion) for motion in clips]),
        ("videos, from poses", video_motions(data.parent / "videos")),
    ):
        count, error_mm = round_trip_mm(motions)
        missed |= error_mm > ROUND_TRIP_MM
        table.add_row(name, str(count), f"{error_mm:.6f}", str(ROUND_TRIP_MM))
    console.print(table)
    with tempfile.TemporaryDirectory() as folder:
        (own, whole, moved), count, seconds = through_tokens(files, Path(folder))
    added = max(abs(whole - own), moved)
    table = Table(
        "BVH files", "tokenizer, mm", "whole way, mm", "any joint, mm", "target, mm", "CPU s", title="through tokens"
    )
    table.add_row(str(count), f"{own:.3f}", f"{whole:.3f}", f"{moved:.6f}", str(ADDED_MM), f"{seconds:.0f}")
    console.print(table)
    return int(missed or added > ADDED_MM)


if __name__ == "__main__":
    sys.exit(main())
