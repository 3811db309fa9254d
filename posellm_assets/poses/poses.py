"""The noun of this room: landmarks per frame and person, and how they are kept in parquet."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posellm_assets.files import write_atomic
from posellm_assets.parquet import FAULTS, UnreadableParquet, open_parquet, read_metadata, short
from posellm_assets.poses.landmarks import COUNT

SCHEMA_VERSION = 1
CHANNELS = ("x", "y", "z", "visibility", "presence", "world_x", "world_y", "world_z")
_METADATA = b"posellm_poses"
_SCHEMA = pa.schema(
    [("frame", pa.int32()), ("time_s", pa.float64()), ("person", pa.int16())]
    + [(channel, pa.list_(pa.float32(), COUNT)) for channel in CHANNELS]
)


class InvalidPoses(ValueError):
    """A file that is not a poses file of this version, or a damaged one."""


@dataclass
class SubjectPoses:
    """One person through a clip: T frames, NaN where the person is not seen.

    time_s (T,) float64 seconds; landmarks (T, 33, 3) float32, x and y as shares of the picture's width and height
    (y down), z in the scale of x; visibility, presence (T, 33) float32; world (T, 33, 3) float32 metres, x right,
    y down, z away from the camera, origin between the hips. `cuts_s` are the times at which the picture changed its
    shape: nobody moves across them.
    """

    time_s: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    width: int
    height: int
    fps: float
    cuts_s: tuple[float, ...] = ()

    @property
    def seen(self) -> np.ndarray:
        """(T,) bool: whether the person is seen in the frame."""
        return np.isfinite(self.landmarks[:, 0, 0])

    @property
    def pixels(self) -> np.ndarray:
        """(T, 33, 2) float32: x and y in pixels of the picture."""
        return self.landmarks[..., :2] * np.array([self.width, self.height], np.float32)


@dataclass
class Poses:
    """The landmarks of a clip: T frames of up to P people, NaN where there is nobody.

    Shapes and units as in `SubjectPoses`, with P after T: landmarks (T, P, 33, 3). MediaPipe gives no identity, so
    person 1 of a frame need not be person 1 of the next; `subjects.py` links them. `model_sha256` is that of the
    model bundle, `parameters` what it ran with.
    """

    time_s: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    width: int
    height: int
    fps: float
    model_sha256: str
    parameters: dict[str, Any] = field(default_factory=dict)
    cuts_s: tuple[float, ...] = ()

    @property
    def seen(self) -> np.ndarray:
        """(T, P) bool: whether there is a person in the slot."""
        return np.isfinite(self.landmarks[:, :, 0, 0])

    @property
    def pixels(self) -> np.ndarray:
        """(T, P, 33, 2) float32: x and y in pixels of the picture."""
        return self.landmarks[..., :2] * np.array([self.width, self.height], np.float32)

    def of(self, person: np.ndarray) -> SubjectPoses:
        """The landmarks of one person: `person` (T,) int is their index in each frame, -1 where they are not seen.

        Raises ValueError for another number of frames.
        """
        if person.shape != self.time_s.shape:
            raise ValueError(f"the subject was chosen over {len(person)} frames, but the poses have {len(self.time_s)}")
        frame = np.arange(len(person))

        def pick(values: np.ndarray) -> np.ndarray:
            chosen = values[frame, person].copy()
            chosen[person < 0] = np.nan
            return chosen

        return SubjectPoses(
            self.time_s,
            pick(self.landmarks),
            pick(self.visibility),
            pick(self.presence),
            pick(self.world),
            self.width,
            self.height,
            self.fps,
            self.cuts_s,
        )

    def write(self, path: Path) -> None:
        """Write parquet: a row per frame and person, and one row of nulls for a frame with nobody."""
        seen = self.seen
        frame, person = np.nonzero(seen)
        empty = np.flatnonzero(~seen.any(axis=1))
        frames = np.concatenate([frame, empty])
        order = np.argsort(frames, kind="stable")
        nobody = (np.arange(len(frames)) >= len(frame))[order]
        stacked = np.concatenate(
            [self.landmarks, self.visibility[..., None], self.presence[..., None], self.world], axis=-1
        )
        values = np.concatenate([stacked[frame, person], np.zeros((len(empty), COUNT, len(CHANNELS)), np.float32)])
        values = np.ascontiguousarray(values[order].transpose(2, 0, 1), dtype=np.float32)
        people = np.concatenate([person, np.zeros(len(empty), person.dtype)])[order]
        masked = _column(nobody)
        columns = [
            _column(frames[order].astype(np.int32)),
            _column(self.time_s[frames[order]]),
            _column(people.astype(np.int16), ~nobody),
        ]
        columns += [
            pa.FixedSizeListArray.from_arrays(_column(channel.ravel()), COUNT, mask=masked) for channel in values
        ]
        about = {
            "schema_version": SCHEMA_VERSION,
            "people": self.landmarks.shape[1],
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "model_sha256": self.model_sha256,
            "parameters": self.parameters,
            "cuts_s": self.cuts_s,
        }
        table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata({_METADATA: json.dumps(about)}))
        # Neighbouring floats share their high bytes: split into streams of bytes they take a third less.
        floats = [f"{channel}.list.element" for channel in CHANNELS]
        write_atomic(
            path,
            lambda stream: pq.write_table(
                table,
                stream,
                compression="zstd",
                compression_level=3,
                use_dictionary=False,
                use_byte_stream_split=floats,
            ),
        )

    @classmethod
    def read(cls, path: Path) -> "Poses":
        """Read what `write` wrote.

        Raises:
            InvalidPoses: not parquet, damaged, or of another schema or version.
            OSError: the file is missing or may not be read.
        """
        with path.open("rb") as stream:
            try:
                return cls._of(open_parquet(stream).read(use_threads=False), path)
            except InvalidPoses:
                raise
            except UnreadableParquet as error:
                raise InvalidPoses(f"{path}: {error}; extract the poses again") from error
            except FAULTS as error:
                raise InvalidPoses(
                    f"{path} is not a whole file of poses ({short(error)}); extract the poses again"
                ) from error

    @classmethod
    def _of(cls, table: pa.Table, path: Path) -> "Poses":
        about = read_metadata(table.schema.metadata, _METADATA) or {}
        version = about.get("schema_version")
        if version != SCHEMA_VERSION or not table.schema.equals(_SCHEMA):
            raise InvalidPoses(
                f"{path} holds poses of schema {version}, this version reads {SCHEMA_VERSION}; extract the poses again"
            )
        frame = table["frame"].to_numpy()
        count = int(frame[-1]) + 1 if len(frame) else 0
        if count > len(frame) or not 0 < about["people"] <= len(frame):
            raise InvalidPoses(f"{path} lacks some of its {count} frames or people; extract the poses again")
        time_s = np.full(count, np.nan)
        time_s[frame] = table["time_s"].to_numpy()
        if not np.isfinite(time_s).all():
            raise InvalidPoses(f"{path} lacks some of its {count} frames; extract the poses again")
        held = table.filter(pc.is_valid(table["person"]))
        place = held["frame"].to_numpy(), held["person"].to_numpy()
        values = np.full((len(CHANNELS), count, about["people"], COUNT), np.nan, np.float32)
        for channel, name in enumerate(CHANNELS):
            flat = held[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            values[channel][place] = flat.reshape(-1, COUNT)
        return cls(
            time_s,
            np.stack(tuple(values[0:3]), axis=-1),
            values[3],
            values[4],
            np.stack(tuple(values[5:8]), axis=-1),
            about["width"],
            about["height"],
            about["fps"],
            about["model_sha256"],
            about["parameters"],
            tuple(about.get("cuts_s", ())),
        )


def _column(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array over the values. `pa.array` would do the same and load pandas, 0.2 CPU seconds in each worker."""
    data = _bits(values) if values.dtype == bool else pa.py_buffer(np.ascontiguousarray(values))
    validity = None if valid is None else _bits(valid)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [validity, data])


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
