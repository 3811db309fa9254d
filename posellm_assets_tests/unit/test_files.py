"""Files that nobody ever reads half of."""

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import Timeout

from posellm_assets.files import link_or_copy, lock_at, read_json, whole_folder, write_atomic, write_json, write_new


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def broken(stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, broken)
    assert read_json(path) == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]


def test_json_that_is_damaged_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text("{")
    with pytest.raises(ValueError, match=r"champion\.json is not valid JSON"):
        read_json(tmp_path / "champion.json")


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_a_folder_is_there_as_it_was_until_all_of_the_new_one_is(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for content in ("old", "new"):
        with whole_folder(folder) as filled:
            (filled / content).write_text(content)
            assert [path.name for path in folder.glob("*")] == (["old"] if content == "new" else [])
    with pytest.raises(KeyError), whole_folder(folder) as filled:
        (filled / "half").write_text("a part of")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_second_name_takes_no_space_and_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").samefile(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "missing", tmp_path / "c")


def test_on_another_file_system_it_is_a_copy(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    (tmp_path / "a").write_bytes(b"content")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        link_or_copy(tmp_path / "a", Path(folder) / "a")
        assert (Path(folder) / "a").read_bytes() == b"content"
        assert os.listdir(folder) == ["a"]


HOLDER = """
import sys, time
from pathlib import Path
from posellm_assets.files import lock_at

with lock_at(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_keeps_other_processes_and_threads_out_until_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(Timeout):
            lock_at(path).acquire(timeout=0.1)
        holder.kill()
    with lock_at(path), ThreadPoolExecutor(1) as thread, pytest.raises(Timeout):
        thread.submit(lambda: lock_at(path).acquire(timeout=0.1)).result()
    with lock_at(path).acquire(timeout=0):
        pass


def test_a_file_system_without_locks_is_an_error_and_not_another_kind_of_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", missing)
    with pytest.raises(OSError, match="not implemented"):
        lock_at(tmp_path / ".lock").acquire(timeout=0)


@pytest.mark.parametrize("nameless", [True, False])
def test_new_files_are_there_all_or_none_and_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    (tmp_path / "taken").write_text("old")
    names = ["one", "taken"]
    with pytest.raises(FileExistsError):
        write_new({tmp_path / name: lambda stream: stream.write(b"new") for name in names})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"taken": "old"}
    write_new({tmp_path / name: lambda stream, name=name: stream.write(name.encode()) for name in ("one", "two")})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "one", "two": "two", "taken": "old"}
