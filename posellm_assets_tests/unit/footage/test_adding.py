"""Files and folders that are added to the drop zone."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posellm_assets.footage.adding import add, add_files
from posellm_assets.footage.labels import LabelError
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def placed(lake: Lake, folder: Path, **given: object) -> tuple[dict[str, str], dict[str, str]]:
    """What was added, as path in the folder to path in the drop zone, and what was not, with the reason."""
    found = {str(file.relative_to(folder)): what for file, what in add(lake, [folder], **given)}
    added = {file: str(what.relative_to(lake.raw)) for file, what in found.items() if isinstance(what, Path)}
    return added, {file: str(what) for file, what in found.items() if isinstance(what, Exception)}


def test_a_folder_is_taken_in_by_its_own_folders_and_its_table(lake, tmp_path):
    folder = tmp_path / "clips"
    for variant, path in enumerate(("gym/squat/a.mp4", "gym/b.mp4", "tennis/serve/a.mp4", ".thumbs/c.mp4"), start=1):
        write_clip(folder / path, variant)
    (folder / "gym/labels.csv").write_text("file,label,caption,clip_id\nb.mp4,lunge,deep and slow,7\n")
    (folder / "gym/notes.txt").write_text("not footage")
    (folder / "gym/squat/a.mp4.json").write_text('{"participant": "Ana"}')
    (folder / "gym/squat/broken.mp4").write_text("this is text")
    write_clip(folder / "gym/squat/deep/d.mp4", 5)
    write_clip(folder / "top.mp4", 6)
    added, refused = placed(lake, folder)
    assert added == {name: name for name in ("gym/b.mp4", "gym/squat/a.mp4", "tennis/serve/a.mp4")}
    assert refused.keys() == {"gym/squat/broken.mp4", "gym/squat/deep/d.mp4", "top.mp4"}
    assert "too deep" in refused["gym/squat/deep/d.mp4"] and "give --sport" in refused["top.mp4"]
    assert "broken.mp4" in refused["gym/squat/broken.mp4"]
    by_folder = read_manifest(lake, register(lake, "gym/squat/a.mp4").key)
    by_table = read_manifest(lake, register(lake, "gym/b.mp4").key)
    assert (by_folder.label, by_folder.participant) == ("squat", "Ana")
    assert (by_table.label, by_table.captions) == ("lunge", ["deep and slow"])
    assert placed(lake, folder)[0] == added, "adding it again changes nothing"


def test_folders_are_labels_only_where_one_says_so(lake, tmp_path):
    folder = tmp_path / "clips"
    write_clip(folder / "Push Up/a.mp4", 1)
    write_clip(folder / "b.mp4", 2)
    added, refused = placed(lake, folder, sport="gym")
    assert added == {"b.mp4": "gym/b.mp4"} and "--label-from-folders" in refused["Push Up/a.mp4"]
    added, refused = placed(lake, folder, sport="gym", label_from_folders=True)
    assert added == {"Push Up/a.mp4": "gym/Push Up/a.mp4", "b.mp4": "gym/b.mp4"} and not refused
    assert read_manifest(lake, register(lake, "gym/Push Up/a.mp4").key).label == "Push Up"
    added, refused = placed(lake, folder, label_from_folders=True)
    assert not added and all("give --sport" in why for why in refused.values())


def test_added_files_are_copied_with_what_is_said_about_them(lake, tmp_path):
    files = [write_clip(tmp_path / "in" / f"{name}.mp4", variant) for variant, name in enumerate(("a", "b c"), start=1)]
    (tmp_path / "in" / "a.mp4.json").write_text('{"captions": ["first"], "label": "lob"}')
    added = add_files(lake, files, "Table Tennis", label="serve", participant="Ana")
    assert [str(path.relative_to(str(lake.raw))) for path in added] == ["table-tennis/a.mp4", "table-tennis/b c.mp4"]
    manifest = read_manifest(lake, register(lake, "table-tennis/a.mp4").key)
    assert (manifest.label, manifest.captions, manifest.participant) == ("serve", ["first"], "Ana")
    assert add_files(lake, files, "table-tennis", label="serve", participant="Ana") == added
    leftovers = {path.name for path in added[0].parent.iterdir()} - {"a.mp4", "a.mp4.json", "b c.mp4", "b c.mp4.json"}
    assert leftovers == set()


def test_nothing_is_added_when_one_of_the_files_cannot_be(lake, tmp_path):
    good = write_clip(tmp_path / "good.mp4", 1)
    other = write_clip(tmp_path / "sub" / "good.mp4", 2)
    long_name = write_clip(tmp_path / ("n" * 251 + ".mp4"), 3)
    hidden = write_clip(tmp_path / ".hidden.mp4", 4)
    for files, given, error, says in (
        ([good, other], {}, FileExistsError, "same name and other content"),
        ([good, tmp_path / "missing.mp4"], {}, FileNotFoundError, r"missing\.mp4 is not a file"),
        ([good, hidden], {}, ValueError, "rename it"),
        ([good, long_name], {"label": "serve"}, ValueError, "too long to have a sidecar"),
        ([good], {"label": " "}, LabelError, r"good\.mp4: label: is empty"),
    ):
        with pytest.raises(error, match=says):
            add_files(lake, files, "tennis", **given)
        assert not lake.raw.exists()
    for sport in ("..", "卓球", ""):
        with pytest.raises(ValueError, match="cannot name a sport"):
            add_files(lake, [good], sport)
    add_files(lake, [good, long_name], "tennis")
    with pytest.raises(FileExistsError, match="same name and other content"):
        add_files(lake, [other], "tennis")
    add_files(lake, [good], "tennis", participant="Ana")
    with pytest.raises(FileExistsError, match="says something else already"):
        add_files(lake, [good], "tennis", participant="Bo")


def test_of_two_that_add_one_name_at_once_one_is_told_that_it_is_taken(lake, tmp_path):
    clips = [write_clip(tmp_path / who / "a.mp4", variant) for variant, who in enumerate(("ana", "bo"), start=1)]
    for turn in range(20):
        both = threading.Barrier(2)

        def add(clip: Path, sport: str = f"sport-{turn}", both: threading.Barrier = both) -> str:
            both.wait()
            try:
                (path,) = add_files(lake, [clip], sport, participant=clip.parent.name)
            except FileExistsError as error:
                assert "rename one" in str(error) or "something else already" in str(error)
                return ""
            return clip.parent.name if path.read_bytes() == clip.read_bytes() else "lost"

        with ThreadPoolExecutor(2) as threads:
            told = sorted(threads.map(add, clips))
        assert told[0] == "" and told[1] in ("ana", "bo"), "one was told that it added, and its file is there"
        (sidecar,) = (lake.raw / f"sport-{turn}").glob("*.json")
        assert json.loads(sidecar.read_text())["participant"] == told[1]


def test_an_add_that_is_killed_leaves_nothing(lake, tmp_path):
    with write_clip(tmp_path / "long.mp4").open("ab") as stream:
        stream.write((2 << 30).to_bytes(4, "big") + b"free")
        stream.truncate(stream.tell() - 8 + (2 << 30))
    command = [sys.executable, "-m", "posellm_assets", "add", str(tmp_path / "long.mp4"), "--sport", "golf"]
    command += ["--label", "drive", "--lake", str(lake.root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (lake.raw / "golf").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert list((lake.raw / "golf").iterdir()) == []
