"""NumPy arrays from anywhere: nothing is unpickled, and no memory is taken for what a header only promises."""

import io
import math
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from posellm_assets.parquet import short

MOST_BYTES = 1 << 30
"""What the arrays of one file may take together."""
_FAULTS = (ValueError, OverflowError, EOFError, TypeError, SyntaxError, RecursionError, TokenError)
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, LookupError, RuntimeError, MemoryError, OSError)


class UnreadableArray(ValueError):
    """No array of numbers, or one cut short; the message has neither path nor remedy."""


def read_npy(path: Path) -> np.ndarray:
    """The array of numbers in a `.npy` file, mapped. Raises UnreadableArray, OSError where it cannot be read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _FAULTS as error:
        raise UnreadableArray(f"this is not a NumPy array of numbers, or it is cut short ({short(error)})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UnreadableArray("this is not one array of numbers")
    return array


def read_npz(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays in a `.npz` file by name.

    Raises UnreadableArray where they are damaged or take more than `most_bytes` together, OSError where the file cannot
    be opened.
    """
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                inside = archive.infolist()
                if (claimed := sum(one.file_size for one in inside)) > most_bytes:
                    raise ValueError(f"they would take {claimed:,} bytes, of at most {most_bytes:,}")
                return {one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in inside}
        except (*_FAULTS, *_ZIP_FAULTS) as error:
            raise UnreadableArray(f"these are no NumPy arrays that can be read ({short(error)})") from error


def _array(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    major = npy.read_magic(stream)[0]
    shape, _, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are never unpickled")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array claims to be {shape}, which is not what is there")
    return np.load(io.BytesIO(content), allow_pickle=False)
