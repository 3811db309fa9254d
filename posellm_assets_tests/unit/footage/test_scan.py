import os

import pytest

from posellm_assets.footage.scan import Stamp, Waiting, diff, list_footage, printable

OLD, NEW = Stamp(10, 1), Stamp(20, 2)


def test_a_clip_still_being_copied_is_left_alone_until_its_size_settles():
    first = diff({"tennis/a.mp4": OLD}, {}, {}, now_s=100, settle_s=10)
    assert first.new == [] and first.settling == {"tennis/a.mp4": Waiting(OLD, 100)}
    grown = diff({"tennis/a.mp4": NEW}, {}, first.settling, now_s=111, settle_s=10)
    assert grown.new == [] and grown.settling == {"tennis/a.mp4": Waiting(NEW, 111)}
    early = diff({"tennis/a.mp4": NEW}, {}, grown.settling, now_s=120.9, settle_s=10)
    assert early.new == [] and early.settling == grown.settling
    settled = diff({"tennis/a.mp4": NEW}, {}, early.settling, now_s=121, settle_s=10)
    assert settled.new == ["tennis/a.mp4"] and settled.settling == {}


def test_a_known_clip_is_new_again_only_when_it_looks_different():
    assert diff({"a": OLD}, {"a": OLD}, {}, 0, 0).new == []
    assert diff({"a": NEW}, {"a": OLD}, {}, 0, 0).new == ["a"]
    assert diff({"a": Stamp(OLD.size, OLD.mtime_ns + 1)}, {"a": OLD}, {}, 0, 0).new == ["a"]


def test_a_vanished_clip_is_neither_new_nor_settling():
    changes = diff({}, {"a": OLD}, {"b": Waiting(NEW, 0)}, now_s=100, settle_s=10)
    assert changes.new == [] and changes.settling == {}


def test_a_clock_set_back_by_an_hour_delays_a_clip_by_no_more_than_the_settling_time():
    back = diff({"a": OLD}, {}, {"a": Waiting(OLD, 4000)}, now_s=400, settle_s=10)
    assert diff({"a": OLD}, {}, back.settling, now_s=410, settle_s=10).new == ["a"]


HOSTILE = [
    "with spaces.mp4",
    "ünïcödé 卓球.mp4",
    "🎾🏓.mp4",
    'it\'s "quoted" `x` $(touch y).mp4',
    "-rf.mp4",
    "--help.mp4",
    "a\nnew line\tand tab.mp4",
    "a..mp4",
    "back\\slash.mp4",
    "%2e%2e.mp4",
    "<b>|bold|<b>.mp4",
    "n" * 251 + ".mp4",
    "é" * 125 + "x.mp4",
    "no_extension",
    "UPPER.MOV",
]


def test_hostile_names_are_listed_as_they_are(tmp_path):
    sport = tmp_path / "tennis"
    (sport / "slice").mkdir(parents=True)
    for number, name in enumerate(HOSTILE):
        (sport / name).write_bytes(b"x" * number)
        (sport / "slice" / name).write_bytes(b"y")
    listing = list_footage(tmp_path)
    assert listing.refused == {}
    assert {path: stamp.size for path, stamp in listing.files.items()} == {
        **{f"tennis/{name}": number for number, name in enumerate(HOSTILE)},
        **{f"tennis/slice/{name}": 1 for name in HOSTILE},
    }


def test_a_name_that_is_not_utf8_is_refused_and_can_be_shown(tmp_path):
    (tmp_path / "tennis").mkdir()
    try:
        with open(os.fsencode(tmp_path / "tennis") + b"/caf\xe9.mp4", "wb"):
            pass
    except OSError:
        pytest.skip("this file system refuses such names itself")
    listing = list_footage(tmp_path)
    assert listing.files == {}
    assert listing.refused == {"tennis/caf\\xe9.mp4": "the name is not UTF-8; rename it"}
    assert printable(os.fsdecode(b"caf\xe9")).encode()


def test_sidecars_and_hidden_files_are_passed_over_in_any_case(tmp_path):
    (tmp_path / "tennis").mkdir()
    for name in (
        "a.mp4.json",
        "labels.csv",
        "truth.NPZ",
        "README.MD",
        "notes.Txt",
        ".part.mp4",
        "._a.mp4",
        ".DS_Store",
    ):
        (tmp_path / "tennis" / name).write_bytes(b"")
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".git").mkdir()
    listing = list_footage(tmp_path)
    assert not listing.files and not listing.refused


def test_links_are_refused_and_never_followed(tmp_path):
    raw, outside = tmp_path / "raw", tmp_path / "outside"
    (raw / "tennis" / "serve").mkdir(parents=True)
    (outside / "inner").mkdir(parents=True)
    (outside / "a.mp4").write_bytes(b"video")
    (raw / "golf").symlink_to(outside)
    (raw / "tennis" / "lob").symlink_to(outside)
    (raw / "tennis" / "b.mp4").symlink_to(outside / "a.mp4")
    (raw / "tennis" / "serve" / "c.mp4").symlink_to(outside / "a.mp4")
    (raw / "tennis" / "serve" / "dangling.mp4").symlink_to("nowhere")
    listing = list_footage(raw)
    assert listing.files == {}
    assert set(listing.refused) == {
        "golf",
        "tennis/lob",
        "tennis/b.mp4",
        "tennis/serve/c.mp4",
        "tennis/serve/dangling.mp4",
    }
    assert all("links are not followed" in reason for reason in listing.refused.values())


def test_what_lies_in_the_wrong_place_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "stray.mp4").write_bytes(b"video")
    (tmp_path / "tennis" / "serve" / "2024").mkdir(parents=True)
    (tmp_path / "tennis" / "serve" / "2024" / "deep.mp4").write_bytes(b"video")
    (tmp_path / "卓球").mkdir()
    os.mkfifo(tmp_path / "tennis" / "pipe.mp4")
    listing = list_footage(tmp_path)
    assert listing.files == {}
    assert "move it to <sport>/[<label>/]<file>" in listing.refused["stray.mp4"]
    assert "too deep" in listing.refused["tennis/serve/2024"]
    assert "name it for instance 'table-tennis'" in listing.refused["卓球"]
    assert "pipe" in listing.refused["tennis/pipe.mp4"]


def test_only_suspects_and_strangers_are_asked_how_they_look(tmp_path):
    (tmp_path / "tennis").mkdir()
    for name in ("known", "suspect", "stranger"):
        (tmp_path / "tennis" / name).write_bytes(b"12345")
    known = {"tennis/known": OLD, "tennis/suspect": OLD, "tennis/vanished": OLD}
    files = list_footage(tmp_path, known, {"tennis/suspect"}).files
    assert set(files) == {"tennis/known", "tennis/suspect", "tennis/stranger"}
    assert files["tennis/known"] == OLD
    assert files["tennis/suspect"].size == files["tennis/stranger"].size == 5


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        list_footage(tmp_path / "raw")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        list_footage(tmp_path / "file")
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "raw" / "tennis").mkdir(parents=True, mode=0o000)
    with pytest.raises(PermissionError):
        list_footage(tmp_path / "raw")
