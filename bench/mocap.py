"""The motion-capture clips that benches of motion measure on, and their split.

360 clips of the Bandai-Namco Research Motion Dataset (CC BY-NC 4.0, for measurement only): 21 joints, 20 frames/s, 24
labels. They are no part of the repository: `POSELLM_TEST_DATA` says where they are, or they lie in `../shared/data`.

The split is by clip, within each label in the order of a hash of the clip's name: a fifth of a label's clips to test,
an eighth to val, the rest to train. Labels with one or two clips are in train only, so every label of val and test is
in train. Takes of one label and style are different recordings, but of the same few actors: this is not a split by
person, which the data does not name.
"""

import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton

MIN_CLIPS_TO_SPLIT = 3
TEST_SHARE, VAL_SHARE = 1 / 5, 1 / 8

_JOINTS: tuple[tuple[str, int], ...] = (
    ("Hips", -1),
    ("Spine", 0),
    ("Chest", 1),
    ("Neck", 2),
    ("Head", 3),
    ("Shoulder_L", 2),
    ("UpperArm_L", 5),
    ("LowerArm_L", 6),
    ("Hand_L", 7),
    ("Shoulder_R", 2),
    ("UpperArm_R", 9),
    ("LowerArm_R", 10),
    ("Hand_R", 11),
    ("UpperLeg_L", 0),
    ("LowerLeg_L", 13),
    ("Foot_L", 14),
    ("Toes_L", 15),
    ("UpperLeg_R", 0),
    ("LowerLeg_R", 17),
    ("Foot_R", 18),
    ("Toes_R", 19),
)
_NAMES = tuple(name for name, _ in _JOINTS)
SKELETON = Skeleton(
    name="bandai-namco",
    joints=_NAMES,
    parents=tuple(parent for _, parent in _JOINTS),
    mirror_pairs=tuple(
        (index, _NAMES.index(f"{name[:-1]}R")) for index, name in enumerate(_NAMES) if name.endswith("_L")
    ),
    hips=(_NAMES.index("UpperLeg_L"), _NAMES.index("UpperLeg_R")),
    shoulders=(_NAMES.index("UpperArm_L"), _NAMES.index("UpperArm_R")),
    feet=tuple(_NAMES.index(name) for name in ("Foot_L", "Toes_L", "Foot_R", "Toes_R")),
)


@dataclass(frozen=True)
class Take:
    """One clip. `key` has the form of a video key; `label` is as in the data ("walk-turn-left")."""

    key: str
    label: str
    style: str
    text: str
    motion: Motion


@dataclass(frozen=True)
class Split:
    """Clips by what they are for, each in the order of their keys."""

    train: list[Take]
    val: list[Take]
    test: list[Take]


def data_folder() -> Path:
    """Where the measurement data is, or ends the bench with a sentence where it is not."""
    folder = Path(os.environ.get("POSELLM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "motion"
    if not (folder / "bandai_namco.parquet").is_file():
        print(f"skipped: no data at {folder}; set POSELLM_TEST_DATA")
        sys.exit(0)
    return folder


def read_takes() -> list[Take]:
    """All clips in the order of their keys."""
    table = pq.read_table(data_folder() / "bandai_namco.parquet")
    takes = []
    for row in table.to_pylist():
        joints = np.asarray(row["joints"], np.float32).reshape(-1, len(SKELETON), 3)
        motion = Motion(joints, row["fps"], SKELETON, filled=np.zeros(len(joints), bool))
        name = row["clip_id"].replace("_", "-")
        takes.append(Take(f"mocap.{name}.{_hash(name)[:8]}", row["label"], row["style"], row["text"], motion))
    return sorted(takes, key=lambda take: take.key)


def split(takes: Sequence[Take]) -> Split:
    """The split that the module's docstring states; the same for the same clips, in any order."""
    by_label: dict[str, list[Take]] = defaultdict(list)
    for take in sorted(takes, key=lambda take: _hash(take.key)):
        by_label[take.label].append(take)
    train, val, test = [], [], []
    for clips in by_label.values():
        splits = len(clips) >= MIN_CLIPS_TO_SPLIT
        tests = max(1, round(TEST_SHARE * len(clips))) if splits else 0
        vals = max(1, round(VAL_SHARE * len(clips))) if splits else 0
        test += clips[:tests]
        val += clips[tests : tests + vals]
        train += clips[tests + vals :]
    return Split(*(sorted(part, key=lambda take: take.key) for part in (train, val, test)))


def write_motions(takes: Sequence[Take], folder: Path) -> list[Path]:
    """Write each clip as `<key>.parquet`, as the programs of the motion room read them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{take.key}.parquet" for take in takes]
    for take, path in zip(takes, paths, strict=True):
        take.motion.write(path)
    return paths


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
