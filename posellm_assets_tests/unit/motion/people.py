"""Motions for the tests of this room: a moving person made from sines, and real motion capture where it is at hand."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY, Skeleton

FPS = 20.0
_STANDING = {
    "pelvis": (0, 0.95, 0), "neck": (0, 1.45, 0), "head": (0, 1.6, 0.02), "nose": (0, 1.58, 0.12),
    "left_shoulder": (0.18, 1.45, 0), "left_elbow": (0.22, 1.17, 0), "left_wrist": (0.24, 0.92, 0.03),
    "right_shoulder": (-0.18, 1.45, 0), "right_elbow": (-0.22, 1.17, 0), "right_wrist": (-0.24, 0.92, 0.03),
    "left_hip": (0.1, 0.95, 0), "left_knee": (0.11, 0.52, 0.02),
    "left_ankle": (0.11, 0.09, 0), "left_toe": (0.12, 0.02, 0.15),
    "right_hip": (-0.1, 0.95, 0), "right_knee": (-0.11, 0.52, 0.02),
    "right_ankle": (-0.11, 0.09, 0), "right_toe": (-0.12, 0.02, 0.15),
}  # fmt: skip
STANDING = np.array([_STANDING[joint] for joint in BODY.joints])


def moving_person(frames: int, seed: int = 0, walks: bool = True) -> Motion:
    """Somebody who swings arms and legs, walks and turns; another seed moves otherwise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(frames) / FPS
    joints = np.tile(STANDING, (frames, 1, 1))
    for name in ("left_wrist", "right_wrist", "left_elbow", "right_elbow", "left_knee", "right_knee"):
        swing = 0.2 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * time_s + rng.random()))
        joints[:, BODY.index(name)] += swing[:, None] * rng.uniform(-1, 1, 3)
    joints[..., 1] += 0.03 * np.sin(2 * np.pi * time_s)[:, None]
    if walks:
        yaw = rng.uniform(-1.5, 1.5) * time_s + rng.uniform(-3, 3)
        cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
        x, z = joints[..., 0].copy(), joints[..., 2].copy()
        joints[..., 0], joints[..., 2] = cos * x + sin * z, cos * z - sin * x
        joints[..., [0, 2]] += np.cumsum(np.stack([np.sin(yaw), np.cos(yaw)], 1) / FPS, axis=0)[:, None]
    return Motion(joints.astype(np.float32), FPS, BODY, np.zeros(frames, bool))


def random_motion(frames: int, skeleton: Skeleton, seed: int) -> Motion:
    """Joints anywhere: the hardest case for an inverse, though no body moves so."""
    joints = np.random.default_rng(seed).normal(0, 1, (frames, len(skeleton), 3)).astype(np.float32)
    return Motion(joints, FPS, skeleton, np.zeros(frames, bool))


def write_people(folder: Path, count: int, frames: int, first_seed: int = 0) -> list[Path]:
    """Motion files of different people under names that are video keys."""
    paths = []
    for seed in range(first_seed, first_seed + count):
        name = f"walking.person-{seed}"
        path = folder / f"{name}.{hashlib.sha256(name.encode()).hexdigest()[:8]}.parquet"
        moving_person(frames, seed).write(path)
        paths.append(path)
    return paths


def real_data() -> Path:
    """The folder of real data; skips the test where there is none."""
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("POSELLM_TEST_DATA", default))
    if not (folder / "motion").exists():
        pytest.skip(f"no real data in {folder} (POSELLM_TEST_DATA)")
    return folder


def mocap(count: int) -> list[Motion]:
    """Real motion-capture clips, spread over the movements; skips the test where they are not at hand."""
    table = pq.read_table(real_data() / "motion" / "bandai_namco.parquet")
    names = json.loads(table.schema.metadata[b"joint_names"])
    skeleton = _mocap_skeleton(names)
    rows = table.take(np.linspace(0, len(table) - 1, count).astype(int)).to_pylist()
    motions = []
    for row in rows:
        joints = np.array(row["joints"], np.float32).reshape(-1, len(names), 3)
        motions.append(Motion(joints, row["fps"], skeleton, np.zeros(len(joints), bool)))
    return motions


def _mocap_skeleton(names: list[str]) -> Skeleton:
    above = {"Spine": "Hips", "Chest": "Spine", "Neck": "Chest", "Head": "Neck"}
    limbs = {"UpperArm": "Shoulder", "LowerArm": "UpperArm", "Hand": "LowerArm", "LowerLeg": "UpperLeg"}
    limbs |= {"Foot": "LowerLeg", "Toes": "Foot"}
    for name in names:
        part, _, side = name.partition("_")
        if side:
            above[name] = f"{limbs[part]}_{side}" if part in limbs else {"Shoulder": "Chest", "UpperLeg": "Hips"}[part]
    index = names.index
    return Skeleton(
        name="mocap",
        joints=tuple(names),
        parents=tuple(index(above[name]) if name in above else -1 for name in names),
        mirror_pairs=tuple((index(name), index(f"{name[:-2]}_R")) for name in names if name.endswith("_L")),
        hips=(index("UpperLeg_L"), index("UpperLeg_R")),
        shoulders=(index("UpperArm_L"), index("UpperArm_R")),
        feet=tuple(index(name) for name in ("Foot_L", "Toes_L", "Foot_R", "Toes_R")),
    )
