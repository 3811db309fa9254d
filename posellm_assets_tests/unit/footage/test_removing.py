"""Clips that are taken out, moved and named anew, and what a lake says of them afterwards."""

import json
import os
import time

import dagster as dg
import pytest

from posellm_assets.checksums import record
from posellm_assets.commands.removing import purge
from posellm_assets.commands.starting import find_home, has_home, start_folder
from posellm_assets.commands.status import overview
from posellm_assets.files import write_json
from posellm_assets.footage.adding import add
from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.intake import Look, WatchState, look, videos_still_there
from posellm_assets.footage.labels import Labels, sidecar_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.footage.registry import registry_of
from posellm_assets.footage.removing import key_of_clip, move, relabel, remove
from posellm_assets.generations.inventory import unfinished_videos
from posellm_assets.lake import Lake
from posellm_assets.lake_check.faults import faults
from posellm_assets_tests.clips import write_clip


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def taken_in(lake: Lake, place: str, variant: int = 1) -> str:
    """The key of a clip that is registered and has captions."""
    write_clip(lake.raw / place, variant)
    key = register(lake, place).key or ""
    write_json(lake.captions(key), {})
    return key


def looked(lake: Lake) -> Look:
    return look(lake, FootageConfig(settle_s=0), WatchState(), time.time())


def test_a_removed_clip_is_put_aside_and_comes_back_when_it_is_added(lake):
    key, other = taken_in(lake, "tennis/serve/a.mp4"), taken_in(lake, "tennis/b.mp4", 2)
    copy = lake.raw / "tennis" / "copy.mp4"
    copy.write_bytes((lake.raw / "tennis/serve/a.mp4").read_bytes())
    looked(lake)
    sidecar_of(lake.raw / "tennis/serve/a.mp4").write_text('{"participant": "ana"}')
    assert key_of_clip(lake, str(lake.raw / "tennis/serve/a.mp4")) == key
    aside = remove(lake, key)
    assert sorted(path.relative_to(lake.removed).as_posix() for path in aside) == [
        "tennis/copy.mp4",
        "tennis/serve/a.mp4",
    ]
    assert videos_still_there(lake) == {other} and unfinished_videos(lake) == set()
    found = overview(lake)
    assert found["keys"] == [other] and found["not_used"] == [], "what was taken out is no trouble"
    assert not {fault.path for fault in faults(lake)} & {lake.footage(key), lake.registry}
    assert looked(lake).outcomes == []
    with pytest.raises(ValueError, match="neither the key nor the file"):
        key_of_clip(lake, key)
    assert all(not isinstance(what, Exception) for _, what in add(lake, [lake.removed]))
    assert {outcome.key for outcome in looked(lake).outcomes} == {key}
    assert read_manifest(lake, key).participant == "ana" and videos_still_there(lake) == {key, other}


def test_another_sport_is_another_key_and_another_folder_another_label(lake):
    key = taken_in(lake, "tennis/a.mp4")
    assert move(lake, key, None, "forehand") == key
    assert read_manifest(lake, key).label == "forehand" and unfinished_videos(lake) == {key}
    moved = move(lake, key, "Table Tennis", None)
    assert moved == key.replace("tennis.", "table-tennis.", 1)
    assert (lake.raw / "table-tennis/forehand/a.mp4").is_file()
    assert overview(lake)["keys"] == [moved]
    # By hand, with the file manager
    os.makedirs(lake.raw / "squash")
    os.rename(lake.raw / "table-tennis/forehand/a.mp4", lake.raw / "squash/a.mp4")
    (outcome,) = looked(lake).outcomes
    assert outcome.key == key.replace("tennis.", "squash.", 1) and overview(lake)["keys"] == [outcome.key]
    taken_in(lake, "golf/a.mp4", 2)
    with pytest.raises(FileExistsError, match="is there already"):
        move(lake, outcome.key or "", "golf", None)
    for name in ("..", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="cannot name"):
            move(lake, outcome.key or "", None, name)


def test_other_words_are_taken_over_and_ingested_again_and_broken_ones_are_named(lake):
    key, other = taken_in(lake, "tennis/a.mp4"), taken_in(lake, "tennis/b.mp4", 2)
    assert looked(lake).relabelled == []
    sidecar = relabel(lake, key, Labels(label="serve"))
    relabel(lake, key, Labels(participant="ana"))
    assert json.loads(sidecar.read_text()) == {"label": "serve", "participant": "ana"}
    assert looked(lake).relabelled == [key] and looked(lake).relabelled == []
    assert read_manifest(lake, key).label == "serve" and unfinished_videos(lake) == {key}
    write_json(lake.captions(key), {})
    sidecar.write_text('{"lable": "serve"}')
    assert looked(lake).relabelled == []
    (row,) = overview(lake)["not_used"]
    assert row["what"] == key and "lable" in row["why"]
    sidecar.write_text('{"label": "serve", "participant": "ana"}')
    assert looked(lake).relabelled == [] and overview(lake)["not_used"] == [], "as it was before"
    (lake.raw / "tennis" / "labels.csv").write_text("file,label\nb.mp4,volley\n")
    assert looked(lake).relabelled == [other] and read_manifest(lake, other).label == "volley"


@pytest.mark.parametrize("is_removed_before", [False, True])
def test_nothing_of_a_purged_clip_is_left(lake, tmp_path, monkeypatch, is_removed_before):
    """Its partition goes too, where Dagster's records lie in the folder that is worked in."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(tmp_path)
    start_folder(tmp_path)
    key, other = taken_in(lake, "tennis/Ana Lopez.mp4"), taken_in(lake, "tennis/b.mp4", 2)
    (lake.raw / "tennis" / "labels.csv").write_text(
        "file,label,participant\nAna Lopez.mp4,serve,Ana Lopez\nb.mp4,volley,Bo\n"
    )
    looked(lake)
    made = [lake.poses(key), lake.contact_sheet(key), lake.motion(key), lake.motion_tokens("vq-01234567", key)]
    for path in [*made, lake.problem("motion", key)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    record(lake, made)
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        instance.add_dynamic_partitions("videos", [key, other])
        if is_removed_before:
            remove(lake, key)
        assert purge(lake, key_of_clip(lake, key, removed_too=True)) == []
        assert instance.get_dynamic_partitions("videos") == [other]
    left = [path for path in lake.root.rglob("*") if path.is_file()]
    said = b"".join(path.read_bytes() for path in left) + "".join(map(str, left)).encode()
    assert b"Ana Lopez" not in said and key.encode() not in said and key[-8:].encode() not in said
    assert overview(lake)["keys"] == [other] and registry_of(lake).damaged == []
    assert (lake.raw / "tennis" / "labels.csv").read_text() == "file,label,participant\nb.mp4,volley,Bo\n"


def test_an_empty_variable_names_no_home(tmp_path, monkeypatch):
    """A shell that unsets it so would have a purge end in a traceback, after the clip was deleted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert not has_home()
    start_folder(tmp_path)
    assert has_home() and find_home() == tmp_path / ".dagster"
