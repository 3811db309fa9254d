"""The noun of this room: the movement of one person as joint positions, and its parquet file.

How a motion comes from footage (`from_poses`), becomes features (`representation`) or is drawn (`rendering`) is
elsewhere.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.files import write_atomic
from posellm_assets.footage.capture import METADATA_KEY
from posellm_assets.motion.skeletons import Skeleton
from posellm_assets.parquet import FAULTS, MAX_VALUES, UnreadableParquet, read_metadata, read_table, short

SCHEMA_VERSION = 2
COLUMNS = {
    "time_s": "time in the video, in seconds",
    "filled": "whether the joints were filled in across a gap",
    "guessed": "which joints the camera did not see",
    "joints": "joints in metres, row-major (J, 3), y up; null where nobody was seen",
}
"""What is in each column of the file."""


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, past the last) index of every run of True in `flags` (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


class TooLittleSeen(ValueError):
    """A source that can be read and shows too little of a body for a motion; the message says what to do."""


class UnreadableMotion(ValueError):
    """A file that is not a whole motion file; the message names it and says what to do."""


@dataclass(frozen=True, eq=False)
class Motion:
    """One person's movement.

    joints: (T, J, 3) float32, metres, y up, x to the left of somebody who faces +z; NaN in frames that nobody saw.
    filled: (T,) bool, frames interpolated over a short gap. guessed: (T, J) bool, joints that the camera did not see,
    such as the legs of somebody who does push-ups towards it; left out, all were seen. `unknown` names what the source
    could not know and what therefore has a conventional value; `start_s` is the time of the first frame in the source;
    `parameters` are the settings that made the motion.
    """

    joints: np.ndarray
    fps: float
    skeleton: Skeleton
    filled: np.ndarray
    unknown: tuple[str, ...] = ()
    start_s: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)
    guessed: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))

    def __post_init__(self) -> None:
        if self.joints.ndim != 3 or self.joints.shape[1:] != (len(self.skeleton), 3):
            raise ValueError(
                f"joints of {self.skeleton.name} are (T, {len(self.skeleton)}, 3), not {self.joints.shape}"
            )
        if self.filled.shape != self.joints.shape[:1]:
            raise ValueError(f"filled has one value per frame: {self.joints.shape[:1]}, not {self.filled.shape}")
        if not self.guessed.size:
            object.__setattr__(self, "guessed", np.zeros(self.joints.shape[:2], bool))
        if self.guessed.shape != self.joints.shape[:2]:
            raise ValueError(f"guessed has one value per joint: {self.joints.shape[:2]}, not {self.guessed.shape}")
        if not self.fps > 0:
            raise ValueError(f"fps must be positive, not {self.fps}")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def duration_s(self) -> float:
        """The frames' time in seconds."""
        return len(self) / self.fps

    @property
    def known(self) -> np.ndarray:
        """(T,) bool: frames in which every joint is known."""
        return np.isfinite(self.joints).all(axis=(1, 2))

    def cut(self, start: int, stop: int) -> "Motion":
        """The frames from `start` up to `stop`, with their time in the source."""
        return replace(
            self,
            joints=self.joints[start:stop],
            filled=self.filled[start:stop],
            guessed=self.guessed[start:stop],
            start_s=self.start_s + start / self.fps,
        )

    def segments(self, min_s: float) -> list["Motion"]:
        """The stretches without a gap that last at least `min_s` seconds, in order."""
        # half a frame of tolerance, because min_s * fps is not exact
        return [self.cut(start, stop) for start, stop in runs(self.known) if stop - start >= min_s * self.fps - 0.5]

    def write(self, path: Path) -> None:
        """Write parquet atomically: a row per frame with `time_s`, `filled`, `guessed` (J) and the joints, row-major
        (J, 3)."""
        coordinates = len(self.skeleton) * 3
        about = {
            "schema_version": SCHEMA_VERSION,
            "fps": self.fps,
            "start_s": self.start_s,
            "unknown": self.unknown,
            "skeleton": self.skeleton.to_json(),
            "parameters": self.parameters,
            "layout": f"joints is row-major ({len(self.skeleton)}, 3), metres, y up; null where nobody was seen",
        }
        joints = pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(self.joints, np.float32).reshape(-1)),
            coordinates,
            mask=pa.array(~self.known),
        )
        time_s = self.start_s + np.arange(len(self)) / self.fps
        guessed = pa.FixedSizeListArray.from_arrays(pa.array(self.guessed.reshape(-1)), len(self.skeleton))
        table = pa.table({"time_s": time_s, "filled": self.filled, "guessed": guessed, "joints": joints})
        table = table.replace_schema_metadata({METADATA_KEY: json.dumps(about, allow_nan=False)})
        write_atomic(path, lambda stream: pq.write_table(table, stream, compression="zstd", compression_level=3))

    @classmethod
    def read(cls, path: Path) -> "Motion":
        """Read what `write` wrote; raises UnreadableMotion for anything else, FileNotFoundError where nothing is."""
        with path.open("rb") as stream:
            try:
                table = read_table(stream)
                about = read_metadata(table.schema.metadata, METADATA_KEY)
            except UnreadableParquet as error:
                raise UnreadableMotion(f"{path}: {error}; make it again") from error
        if about is None:
            raise UnreadableMotion(f"{path} is parquet but not a motion: its schema has no {METADATA_KEY.decode()!r}")
        try:
            if about["schema_version"] != SCHEMA_VERSION:
                raise UnreadableMotion(
                    f"{path} has version {about['schema_version']} of the motion schema, this is {SCHEMA_VERSION}; "
                    "make it again"
                )
            skeleton = Skeleton.from_json(about["skeleton"])
            column = table["joints"].combine_chunks()
            if len(column) * len(skeleton) * 3 > MAX_VALUES:
                raise ValueError(f"{len(column):,} frames of {len(skeleton):,} joints are too many numbers")
            joints = np.full((len(column), len(skeleton) * 3), np.nan, np.float32)
            seen = column.is_valid().to_numpy(zero_copy_only=False)
            joints[seen] = column.drop_null().flatten().to_numpy().reshape(-1, len(skeleton) * 3)
            return cls(
                joints=joints.reshape(len(column), len(skeleton), 3),
                fps=about["fps"],
                skeleton=skeleton,
                filled=table["filled"].to_numpy(),
                guessed=_bools(table["guessed"], len(column), len(skeleton)),
                unknown=tuple(about["unknown"]),
                start_s=about["start_s"],
                parameters=about["parameters"],
            )
        except UnreadableMotion:
            raise
        except FAULTS as error:
            raise UnreadableMotion(f"{path} is not a whole motion file ({short(error)}); make it again") from error


def _bools(column: pa.ChunkedArray, frames: int, joints: int) -> np.ndarray:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, bool).reshape(frames, joints)
