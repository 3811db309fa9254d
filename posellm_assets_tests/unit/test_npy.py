"""Arrays in files that strangers may have written: refused before memory is taken for what they claim."""

import io
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.npy import UnreadableArray, read_npz


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {"codes": np.arange(12, dtype=np.int32).reshape(3, 4), "words": np.array("a b"), "none": np.zeros((0, 4))}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz")
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def npy(shape: tuple[int, ...], content: bytes, dtype: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


def zeros(path: Path, size: int) -> None:
    """Zeros, which take a thousandth of their size in the file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("codes.npy", "w") as stream:
        stream.write(npy((size // 8,), b""))
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    zeros(tmp_path / "bomb.npz", 64 << 20)
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        archive.writestr("codes.npy", npy((1 << 40,), bytes(8)))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableArray, match=r"would take 67,108,\d+ bytes, of at most 1,048,576"):
            read_npz(tmp_path / "bomb.npz", most_bytes=1 << 20)
        with pytest.raises(UnreadableArray, match=r"claims to be \(1099511627776,\)"):
            read_npz(tmp_path / "claims.npz")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_whatever_byte_is_changed_nothing_else_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, codes=np.arange(40), source=np.array("tennis"))
    whole = path.read_bytes()
    for at in range(len(whole)):
        for change in (b"", bytes([whole[at] ^ 1]), b"\xff"):
            path.write_bytes(whole[:at] + change + whole[at + 1 :])
            with suppress(UnreadableArray):
                read_npz(path)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", codes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UnreadableArray):
        read_npz(tmp_path / "a.npz")
