import shutil
import threading
from pathlib import Path

import pytest

from posellm_assets.footage import intake, reading
from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.intake import Look, WatchState, look, quarantined, status
from posellm_assets.footage.registry import registry_of
from posellm_assets.footage.scan import Listing, Stamp
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.waits import HANG_S

AT_ONCE = FootageConfig(settle_s=0, tick_budget_s=HANG_S)


class Watcher:
    """Looks at a lake every 10 seconds of a clock of its own."""

    def __init__(self, lake: Lake, config: FootageConfig = AT_ONCE):
        self.lake, self.config = lake, config
        self.state, self.now_s = WatchState(), 1_000.0

    def look(self) -> Look:
        found = look(self.lake, self.config, self.state, self.now_s)
        self.state = WatchState.model_validate_json(found.state.model_dump_json())
        self.now_s += 10
        return found

    def registered(self) -> list[str]:
        return [outcome.path for outcome in self.look().outcomes if outcome.status == "registered"]


@pytest.fixture
def lake(tmp_path):
    (tmp_path / "lake" / "raw").mkdir(parents=True)
    return Lake(tmp_path / "lake")


def drop(lake: Lake, path: str, variant: int = 1) -> Path:
    return write_clip(lake.raw / path, variant)


def test_a_clip_still_being_copied_is_registered_after_it_has_settled(lake):
    watcher = Watcher(lake, FootageConfig(settle_s=15))
    path = drop(lake, "tennis/a.mp4")
    whole = path.read_bytes()
    for size in (100, 200):
        path.write_bytes(whole[:size])
        assert watcher.look().outcomes == []
    path.write_bytes(whole)
    assert [watcher.registered() for _ in range(4)] == [[], [], ["tennis/a.mp4"], []]


def test_one_broken_clip_stops_no_other(lake):
    for number in range(1, 4):
        drop(lake, f"tennis/{number}.mp4", number)
    (lake.raw / "tennis" / "2 broken.mp4").write_text("not a video")
    watcher = Watcher(lake)
    found = watcher.look()
    assert [outcome.path for outcome in found.outcomes if outcome.key] == [
        "tennis/1.mp4",
        "tennis/2.mp4",
        "tennis/3.mp4",
    ]
    assert set(found.quarantine) == {"tennis/2 broken.mp4"} and found.quarantine_changed
    again = watcher.look()
    assert again.outcomes == [] and not again.quarantine_changed
    assert (again.known, again.waiting) == (4, 0)


def test_more_clips_than_one_look_may_take_wait_for_the_next(lake):
    for number in range(1, 6):
        drop(lake, f"tennis/{number}.mp4", number)
    watcher = Watcher(lake, FootageConfig(settle_s=0, max_files_per_tick=2))
    assert [watcher.registered() for _ in range(4)] == [
        ["tennis/1.mp4", "tennis/2.mp4"],
        ["tennis/3.mp4", "tennis/4.mp4"],
        ["tennis/5.mp4"],
        [],
    ]


def test_a_look_ends_when_its_time_is_up(lake):
    for number in range(1, 4):
        drop(lake, f"tennis/{number}.mp4", number)
    seconds = iter(range(0, 1_000, 12))
    config = FootageConfig(settle_s=0, tick_budget_s=20)
    found = look(lake, config, WatchState(), 1_000, clock=lambda: float(next(seconds)))
    assert [outcome.path for outcome in found.outcomes] == ["tennis/1.mp4"]
    assert found.waiting == 2


def test_a_corrected_sidecar_frees_its_clip_without_touching_the_video(lake):
    path = drop(lake, "tennis/a.mp4")
    sidecar = path.with_name("a.mp4.json")
    sidecar.write_text("{")
    watcher = Watcher(lake)
    assert set(watcher.look().quarantine) == {"tennis/a.mp4"}
    assert watcher.look().outcomes == []
    sidecar.write_text('{"label": "lob"}')
    found = watcher.look()
    assert [outcome.path for outcome in found.outcomes] == ["tennis/a.mp4"]
    assert found.quarantine == {} and found.quarantine_changed


def test_a_removed_clip_leaves_the_quarantine_and_a_registered_one_leaves_nothing(lake):
    broken, whole = drop(lake, "tennis/broken.mp4"), drop(lake, "tennis/whole.mp4", 2)
    broken.write_text("not a video")
    watcher = Watcher(lake)
    (key,) = {outcome.key for outcome in watcher.look().outcomes if outcome.key}
    broken.unlink()
    whole.unlink()
    found = watcher.look()
    assert found.quarantine == {} and found.quarantine_changed and found.outcomes == []
    assert lake.footage(key).exists()


def test_a_drop_zone_that_cannot_be_listed_is_an_error(lake):
    drop(lake, "tennis/a.mp4")
    watcher = Watcher(lake)
    watcher.look()
    shutil.move(str(lake.raw), str(lake.root / "elsewhere"))
    with pytest.raises(FileNotFoundError):
        watcher.look()
    assert [outcome.status for outcome in registry_of(lake).log] == ["registered"]


def test_the_state_stays_small_when_an_archive_is_dropped(lake, monkeypatch):
    monkeypatch.setattr(intake, "WATCHED_AT_ONCE", 100)
    folder = lake.raw / "tennis"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:04d}.mp4").write_bytes(b"x")
    watcher = Watcher(lake, FootageConfig(settle_s=15, max_files_per_tick=40, tick_budget_s=HANG_S))
    registered = 0
    for _ in range(14):
        found = watcher.look()
        registered += len(found.outcomes)
        assert len(watcher.state.model_dump_json()) < 20_000
    assert registered == 300 == len(found.quarantine)


def test_a_clip_replaced_in_place_is_noticed_in_a_large_lake_after_a_round_of_looks(lake, monkeypatch):
    monkeypatch.setattr(intake, "CHECKED_AGAIN", 2)
    paths = [drop(lake, f"tennis/{number}.mp4", number) for number in range(1, 6)]
    watcher = Watcher(lake, FootageConfig(settle_s=15))
    for _ in range(5):
        watcher.look()
    assert len(registry_of(lake).log) == 5
    for number, path in enumerate(paths, start=11):
        write_clip(path, number)
    registered = [path for _ in range(8) for path in watcher.registered()]
    assert sorted(registered) == [f"tennis/{number}.mp4" for number in range(1, 6)]


def test_status_says_what_is_there_and_what_is_not(lake):
    drop(lake, "tennis/a.mp4", 1)
    drop(lake, "golf/b.mp4", 2)
    drop(lake, "golf/copy of b.mp4", 2)
    (lake.raw / "golf" / "broken.mp4").write_text("not a video")
    (lake.raw / "stray.mp4").write_text("not a video")
    key = {outcome.path: outcome.key for outcome in Watcher(lake).look().outcomes}["golf/b.mp4"]
    drop(lake, "golf/fresh.mp4", 3)
    found = status(lake)
    assert [sport_of(video) for video in found.videos] == ["golf", "tennis"] and found.gone == []
    assert found.duplicates == {"golf/copy of b.mp4": key}
    assert set(found.quarantined) == {"golf/broken.mp4", "stray.mp4"}
    assert found.waiting == ["golf/fresh.mp4"]
    assert status(Lake(lake.root / "nowhere")).videos == []
    (lake.raw / "golf" / "b.mp4").unlink()
    assert status(lake).gone == [], "the copy holds it"
    (lake.raw / "golf" / "copy of b.mp4").unlink()
    assert status(lake).gone == [key] and key not in status(lake).videos


def test_a_file_that_takes_longer_than_a_look_is_read_once_and_holds_up_no_other(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(lake, "tennis/a slow.mp4")
    register, begun, goes_on = reading.register, [], threading.Event()

    def slowly(lake: Lake, source: str):
        begun.append(source)
        if "slow" in source:
            assert goes_on.wait(HANG_S)
        return register(lake, source)

    monkeypatch.setattr(reading, "register", slowly)
    watcher = Watcher(lake, FootageConfig(settle_s=0, tick_budget_s=0.2))
    found = watcher.look()
    assert (found.outcomes, found.waiting) == ([], 1)
    watcher.config = AT_ONCE
    drop(lake, "tennis/b.mp4", 2)
    assert watcher.registered() == ["tennis/b.mp4"]
    assert watcher.registered() == []
    goes_on.set()
    (thread,) = [one for one in threading.enumerate() if one.name == "reading tennis/a slow.mp4"]
    thread.join(HANG_S)
    watcher.look()
    assert begun == ["tennis/a slow.mp4", "tennis/b.mp4"], "each is read once"
    assert watcher.look().waiting == 0
    assert {outcome.path for outcome in registry_of(lake).log} == {"tennis/a slow.mp4", "tennis/b.mp4"}


def test_what_is_read_in_a_thread_may_come_while_a_look_goes_through_what_is_known(lake: Lake) -> None:
    for number in range(3):
        (lake.raw / f"{number}.mp4").write_text("outside of a sport's folder")
    (lake.raw / "tennis").mkdir()
    for number in range(3):
        (lake.raw / "tennis" / f"{number}.mp4").write_text("not a video")
    found = Watcher(lake).look()
    registry = registry_of(lake)

    class Grows(dict[str, Stamp]):
        """The files of a listing, to which a thread comes while they are looked up."""

        def get(self, path: str, default: Stamp | None = None) -> Stamp | None:
            another = registry.latest[path].model_copy(update={"path": f"tennis/{len(registry.log)}.mp4"})
            with registry.writing():
                registry.append(another)
            return super().get(path, default)

    listing = Listing(files=Grows(registry.known.copy()))
    assert quarantined(listing, registry).keys() == {path for path in found.quarantine if "/" in path}


def test_large_files_are_read_after_all_others(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "LARGE_BYTES", 10_000)
    large = drop(lake, "tennis/a.mp4")
    large.write_bytes(large.read_bytes() + (20_000).to_bytes(4, "big") + b"free" + bytes(19_992))
    drop(lake, "tennis/b.mp4", 2)
    assert Watcher(lake).registered() == ["tennis/b.mp4", "tennis/a.mp4"]
