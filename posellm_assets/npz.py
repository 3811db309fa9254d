"""Arrays in `.npz` files: what a file claims to hold is checked before memory is taken for it."""

import io
import math
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

MOST_BYTES = 1 << 30
_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, ValueError, OverflowError, EOFError, TypeError, SyntaxError, TokenError),
    *(RecursionError, LookupError, NotImplementedError, RuntimeError, MemoryError, OSError, struct.error),
)
"""What reading a damaged or hostile file raises."""


class UnreadableArrays(ValueError):
    """No `.npz`, damaged, or claiming more than it can hold; the message names the file and has no remedy."""


def read_npz(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays in a file by name; nothing is unpickled.

    Raises UnreadableArrays where they are damaged or take more than `most_bytes` together, OSError where the file
    cannot be read.
    """
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                inside = archive.infolist()
                if (claimed := sum(one.file_size for one in inside)) > most_bytes:
                    raise ValueError(f"they would take {claimed:,} bytes, of at most {most_bytes:,}")
                return {one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in inside}
        except _FAULTS as error:
            raise UnreadableArrays(f"{path} holds no arrays that can be read ({str(error)[:200]})") from error


def _array(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    major = npy.read_magic(stream)[0]
    shape, _, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are never unpickled")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array claims to be {shape}, which is not what is there")
    return np.load(io.BytesIO(content), allow_pickle=False)
