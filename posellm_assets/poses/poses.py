"""The noun of this room: landmarks per frame and person, and how they are kept in parquet."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posellm_assets.files import write_atomic
from posellm_assets.footage.capture import LANDMARKS_KEY, MAX_PEOPLE
from posellm_assets.parquet import FAULTS, UnreadableParquet, open_parquet, read_metadata, short
from posellm_assets.poses.landmarks import COUNT, MIRROR

SCHEMA_VERSION = 1
CHANNELS = ("x", "y", "z", "visibility", "presence", "world_x", "world_y", "world_z")
_SCHEMA = pa.schema(
    [("frame", pa.int32()), ("time_s", pa.float64()), ("person", pa.int16())]
    + [(channel, pa.list_(pa.float32(), COUNT)) for channel in CHANNELS]
)
COLUMNS = {
    "frame": "the frame of the video, from 0",
    "time_s": "when it is shown, in seconds",
    "person": "who of the people in view, from 0",
    "x": "landmarks, share of the picture's width",
    "y": "landmarks, share of the picture's height, down",
    "z": "landmarks, depth in the scale of x",
    "visibility": "how likely a landmark is in the picture and not hidden",
    "presence": "how likely a landmark is in the picture",
    "world_x": "landmarks in metres, right, from between the hips",
    "world_y": "landmarks in metres, down",
    "world_z": "landmarks in metres, away from the camera",
}
"""What is in each column of the file."""


class InvalidPoses(ValueError):
    """A file that is not a poses file of this version, or a damaged one."""


@dataclass
class SubjectPoses:
    """One person through a clip: T frames, NaN where the person is not seen.

    time_s (T,) float64 seconds; landmarks (T, 33, 3) float32, x and y as shares of the picture's width and height
    (y down), z in the scale of x; visibility, presence (T, 33) float32; world (T, 33, 3) float32 metres, x right,
    y down, z away from the camera, origin between the hips. `cuts_s` are the times of the first frames after a cut:
    nobody moves across them.
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
        table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata({LANDMARKS_KEY: json.dumps(about)}))
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

    def mirrored(self) -> "Poses":
        """What a mirror shows: x from the other side, and left landmarks where right ones were."""
        shown = self.landmarks[..., MIRROR, :] * np.array([-1, 1, 1], np.float32) + np.array([1, 0, 0], np.float32)
        return replace(
            self,
            landmarks=shown,
            visibility=self.visibility[..., MIRROR],
            presence=self.presence[..., MIRROR],
            world=self.world[..., MIRROR, :] * np.array([-1, 1, 1], np.float32),
        )

    @classmethod
    def read(cls, path: Path, remedy: str = "extract the poses again") -> "Poses":
        """Read what `write` wrote; `remedy` is what to do about a file that cannot be read, for the message.

        Raises:
            InvalidPoses: not parquet, damaged, or of another schema or version.
            OSError: the file is missing or may not be read.
        """
        with path.open("rb") as stream:
            try:
                return cls._of(open_parquet(stream))
            except FAULTS as error:
                what = error if isinstance(error, (InvalidPoses, UnreadableParquet)) else f"damaged ({short(error)})"
                raise InvalidPoses(f"{path}: {what}; {remedy}") from error

    @classmethod
    def _of(cls, file: pq.ParquetFile) -> "Poses":
        about = read_metadata(file.schema_arrow.metadata, LANDMARKS_KEY)
        version = about.get("schema_version") if isinstance(about, dict) else None
        if version != SCHEMA_VERSION or not file.schema_arrow.equals(_SCHEMA):
            raise InvalidPoses(f"it holds poses of schema {version}, this version reads {SCHEMA_VERSION}")
        table = file.read(use_threads=False)
        frame, people = table["frame"].to_numpy(), about["people"]
        starts = np.diff(frame, prepend=-1)
        if not np.isin(starts, (0, 1)).all() or not 0 < people <= MAX_PEOPLE:
            raise InvalidPoses("it lacks some of its frames or people")
        time_s = np.asarray(table["time_s"].to_numpy()[starts == 1], np.float64)
        if not np.isfinite(time_s).all():
            raise InvalidPoses("some of its frames have no time")
        held = table.filter(pc.is_valid(table["person"]))
        place = held["frame"].to_numpy(), held["person"].to_numpy()
        numbered = place[0].astype(np.int64) * people + place[1]
        if not ((place[1] >= 0) & (place[1] < people)).all() or len(np.unique(numbered)) < len(held):
            raise InvalidPoses("a person of a frame is not counted, or counted twice")
        values = np.full((len(CHANNELS), len(time_s), people, COUNT), np.nan, np.float32)
        for channel, name in enumerate(CHANNELS):
            flat = held[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            values[channel][place] = flat.reshape(-1, COUNT)
        return cls(
            time_s,
            np.stack(tuple(values[0:3]), axis=-1),
            values[3],
            values[4],
            np.stack(tuple(values[5:8]), axis=-1),
            int(about["width"]),
            int(about["height"]),
            float(about["fps"]),
            str(about["model_sha256"]),
            dict(about["parameters"]),
            tuple(float(cut_s) for cut_s in about.get("cuts_s", ())),
        )


def _column(values: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """An Arrow array over the values. `pa.array` would do the same and load pandas, 0.2 CPU seconds in each worker."""
    data = _bits(values) if values.dtype == bool else pa.py_buffer(np.ascontiguousarray(values))
    validity = None if valid is None else _bits(valid)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [validity, data])


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
