"""Joint positions as plain arrays: `.npy` with a declaration beside it, and parquet with a motion in each row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from posellm_assets.files import write_atomic, write_json
from posellm_assets.footage.labels import sidecar_of
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.sources import Declaration, UnusableSource, motion_from_joints
from posellm_assets.npy import UnreadableArray, read_npy
from posellm_assets.parquet import FAULTS, UnreadableParquet, count_values, open_parquet, read_metadata, short

NAME_COLUMNS = ("clip_id", "id", "name", "file")
TEXT_COLUMNS = ("text", "caption", "captions", "texts")
_ROWS_AT_ONCE = 64
_VALUES_AT_ONCE = 2_000_000


def motion_from_npy(path: Path, said: Declaration) -> Motion:
    """The motion in a `.npy` array (T, J, 3), whose joints and frame rate are declared; NaN where nobody was seen.

    Raises UnusableSource, OSError where the file cannot be read.
    """
    if absent := [key for key in ("joints", "fps") if getattr(said, key) is None]:
        raise UnusableSource(
            f"an array says nothing about itself: declare {' and '.join(absent)} in {sidecar_of(path).name}, such as "
            '{"joints": ["pelvis", "left_hip", ...], "parents": [-1, 0, ...], "fps": 30, "unit": "m", "up": "y"}'
        )
    try:
        array = read_npy(path)
    except UnreadableArray as error:
        raise UnusableSource(f"{error}; save joint positions with numpy.save") from error
    assert said.joints is not None and said.fps is not None
    if array.ndim != 3 or array.shape[1:] != (len(said.joints), 3) or not len(array):
        raise UnusableSource(
            f"the array is {array.shape}; {len(said.joints)} joints are declared, so (frames, {len(said.joints)}, 3)"
        )
    return motion_from_joints(array, said.joints, _parents(said), said.fps, said, path.name)


def write_npy(motion: Motion, path: Path) -> None:
    """Write the joints as `.npy`, (T, J, 3) float32 in metres, y up, and a declaration that reads them back."""
    declared = Declaration(
        joints=motion.skeleton.joints,
        parents=motion.skeleton.parents,
        names={name: name for name in motion.skeleton.joints},
        fps=motion.fps,
        unit="m",
        up="y",
        handedness="right",
    )
    write_json(sidecar_of(path), declared.model_dump(mode="json", exclude_defaults=True))
    write_atomic(path, lambda stream: np.save(stream, motion.joints, allow_pickle=False))


def motions_from_parquet(path: Path, said: Declaration) -> Iterator[tuple[dict[str, Any], Motion]]:
    """The motion in each row of a parquet file, with the row's other columns as text.

    `joints` is a list of numbers, row-major (T, J, 3); `fps` is a column or declared; the joints' names are the
    metadata `joint_names` (JSON) or declared, `parents` likewise. Raises UnusableSource naming the row.
    """
    with path.open("rb") as stream:
        try:
            file = open_parquet(stream)
        except UnreadableParquet as error:
            raise UnusableSource(f"{error}; copy it again") from error
        columns = file.schema_arrow.names
        if "joints" not in columns:
            raise UnusableSource(f"no column is called joints; there are {', '.join(columns)}")
        said = _with_metadata(said, file.schema_arrow.metadata or {})
        if said.joints is None:
            raise UnusableSource(
                f"the joints have no names: declare them in {sidecar_of(path).name}, "
                'such as {"joints": ["pelvis", "left_hip", ...]}'
            )
        number = 0
        for batch in _batches(file):
            for row in batch.to_pylist():
                number += 1
                try:
                    yield row, _motion_of_row(row, said, f"{path.name} row {number}")
                except UnusableSource as error:
                    raise UnusableSource(f"row {number}: {error}") from error
        if not number:
            raise UnusableSource("the table has no rows")


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    rows = max(1, min(_ROWS_AT_ONCE, _VALUES_AT_ONCE * file.metadata.num_rows // max(1, count_values(file))))
    try:
        yield from file.iter_batches(batch_size=rows, use_threads=False)
    except FAULTS as error:
        raise UnusableSource(f"the file is damaged ({short(error)}); copy it again") from error


def _with_metadata(said: Declaration, metadata: dict[bytes, bytes]) -> Declaration:
    """The declaration with the joint names and parents that the file's metadata holds, where they are not declared."""
    found: dict[str, Any] = {}
    for key, name in (("joints", b"joint_names"), ("parents", b"parents")):
        if name in metadata and getattr(said, key) is None:
            try:
                found[key] = read_metadata(metadata, name)
            except UnreadableParquet as error:
                raise UnusableSource(f"{error}; copy it again") from error
    try:
        return Declaration.model_validate({**said.model_dump(exclude_unset=True), **found})
    except ValidationError as error:
        raise UnusableSource(f"the metadata {', '.join(found)} cannot be used: {error.errors()[0]['msg']}") from error


def _motion_of_row(row: dict[str, Any], said: Declaration, source: str) -> Motion:
    assert said.joints is not None
    fps = said.fps or row.get("fps")
    if not isinstance(fps, int | float):
        raise UnusableSource("it has no frame rate: give a column fps, or declare fps")
    if row["joints"] is None:
        raise UnusableSource("it has no joints (null); leave the row out")
    try:
        flat = np.array(row["joints"], np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnusableSource(f"its joints are not a list of numbers ({error})") from error
    size = 3 * len(said.joints)
    if not len(flat) or len(flat) % size:
        raise UnusableSource(f"it has {len(flat)} numbers, which is not whole frames of {len(said.joints)} joints x 3")
    return motion_from_joints(
        flat.reshape(-1, len(said.joints), 3), said.joints, _parents(said), float(fps), said, source
    )


def _parents(said: Declaration) -> tuple[int, ...] | None:
    if said.parents is not None and said.joints is not None and len(said.parents) != len(said.joints):
        raise UnusableSource(f"{len(said.joints)} joints are declared, but {len(said.parents)} parents")
    return said.parents
