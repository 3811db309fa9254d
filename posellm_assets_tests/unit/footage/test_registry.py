import multiprocessing
import threading

from posellm_assets.footage.registry import Outcome, Registry, line_of
from posellm_assets_tests.waits import HANG_S


def outcome(number: int, status: str = "registered") -> Outcome:
    return Outcome(
        path=f"tennis/{number}.mp4",
        size=number,
        mtime_ns=number,
        status=status,
        key=f"tennis.{number}.{number:08x}" if status == "registered" else None,
        reason=None if status == "registered" else "broken",
        sha256=f"{number:064x}",
    )


def test_a_reader_sees_what_another_appended(tmp_path):
    reader, writer = (
        Registry(tmp_path / "footage" / "registry.jsonl"),
        Registry(tmp_path / "footage" / "registry.jsonl"),
    )
    reader.refresh()
    assert reader.log == []
    for number in range(3):
        with writer.writing():
            writer.append(outcome(number))
        reader.refresh()
        assert reader.log == [outcome(count) for count in range(number + 1)]
    assert reader.known == {f"tennis/{number}.mp4": outcome(number).stamp for number in range(3)}


def test_the_last_outcome_of_a_path_counts(tmp_path):
    registry = Registry(tmp_path / "registry.jsonl")
    with registry.writing():
        registry.append(outcome(1, "quarantined"))
        assert set(registry.quarantined) == {"tennis/1.mp4"}
        registry.append(outcome(1))
    assert registry.quarantined == {} and registry.latest["tennis/1.mp4"].status == "registered"
    assert registry.key_of == {f"{1:064x}": "tennis.1.00000001"}


def test_reading_costs_only_what_is_new(tmp_path):
    path = tmp_path / "registry.jsonl"
    registry = Registry(path)
    with registry.writing():
        registry.append(outcome(0))
    read_before = registry._offset
    # A reader that went back to the start would stumble over this.
    content = path.read_bytes()
    path.write_bytes(b"#" * len(content) + content)
    registry.refresh()
    assert registry._offset == read_before + len(content) and len(registry.log) == 2


def test_a_torn_last_line_is_ignored_until_complete_and_repaired_by_the_next_append(tmp_path):
    path = tmp_path / "registry.jsonl"
    line = line_of(outcome(1))
    for cut in (1, len(line) // 2, len(line) - 1):
        path.unlink(missing_ok=True)
        registry = Registry(path)
        with registry.writing():
            registry.append(outcome(0))
        whole = path.read_bytes()
        path.write_bytes(whole + line[:cut])
        registry.refresh()
        assert registry.log == [outcome(0)]
        path.write_bytes(whole + line)
        registry.refresh()
        assert registry.log == [outcome(0), outcome(1)]
        path.write_bytes(whole + line + line[:cut])
        late = Registry(path)
        with late.writing():
            late.append(outcome(2))
        registry.refresh()
        assert registry.log == late.log == [outcome(0), outcome(1), outcome(2)]
        assert path.read_bytes() == whole + line + line_of(outcome(2))


def test_a_damaged_line_is_passed_over_whatever_was_changed_in_it(tmp_path):
    path = tmp_path / "registry.jsonl"
    registry = Registry(path)
    for number in range(3):
        with registry.writing():
            registry.append(outcome(number))
    whole = path.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    for at in range(ends[0] + 1, ends[1]):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        late = Registry(path)
        late.refresh()
        assert 2 in late.damaged and late.log == [outcome(0), outcome(2)]
    with late.writing():
        late.append(outcome(3))
        late.rewrite([outcome(1)])
    registry.refresh()
    assert registry.log == late.log == [outcome(0), outcome(2), outcome(3), outcome(1)]
    assert registry.damaged == late.damaged == []


def test_a_registry_that_was_removed_is_read_anew(tmp_path):
    registry = Registry(tmp_path / "registry.jsonl")
    for number in (1, 2):
        with registry.writing():
            registry.append(outcome(number))
    registry.path.unlink()
    registry.refresh()
    assert registry.log == [] and registry.key_of == {}
    with registry.writing():
        registry.append(outcome(3))
    assert registry.log == [outcome(3)]


def append_some(path, first, count):
    registry = Registry(path)
    for number in range(first, first + count):
        with registry.writing():
            registry.append(outcome(number))


def test_writers_in_several_processes_and_threads_lose_nothing(tmp_path):
    path = tmp_path / "registry.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_some, args=(path, 100, 40))]
    workers += [threading.Thread(target=append_some, args=(path, first, 40)) for first in (200, 300)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(HANG_S)
    registry = Registry(path)
    registry.refresh()
    expected = {f"tennis/{first + number}.mp4" for first in (100, 200, 300) for number in range(40)}
    assert set(registry.latest) == expected and len(registry.log) == 120
