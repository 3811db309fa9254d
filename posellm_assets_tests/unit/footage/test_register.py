import hashlib
import json
import os
from pathlib import Path

import pytest

from posellm_assets.footage import register as registration
from posellm_assets.footage.labels import LabelError
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import StillChanging, refresh_manifest, register
from posellm_assets.footage.registry import registry_of
from posellm_assets.keys import check_video_key
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import free_box, write_clip


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def drop(lake: Lake, path: str, variant: int = 1) -> Path:
    return write_clip(lake.raw / path, variant)


def test_a_clip_becomes_a_video_with_a_manifest(lake):
    path = drop(lake, "tennis/slice serve/Émile's 1st.mp4")
    outcome = register(lake, "tennis/slice serve/Émile's 1st.mp4")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (outcome.status, outcome.key) == ("registered", f"tennis.emile-s-1st.{sha256[:8]}")
    manifest = read_manifest(lake, outcome.key)
    assert (manifest.sport, manifest.label, manifest.participant) == ("tennis", "slice serve", None)
    assert (manifest.source, manifest.sha256) == ("tennis/slice serve/Émile's 1st.mp4", sha256)
    assert manifest.size_bytes == path.stat().st_size
    assert (manifest.video.width, manifest.video.height, manifest.video.frame_count) == (64, 48, 6)
    assert manifest.video.fps == pytest.approx(10)
    assert manifest.split_group == outcome.key
    assert registry_of(lake).latest[outcome.path] == outcome


HOSTILE = ["-rf.mp4", "🎾.mp4", "a b\n'c\" `d` $(e).mp4", "n" * 251 + ".mp4", "no_extension", "%2e%2e.mp4", "a..mp4"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_gets_a_harmless_key(lake, name):
    drop(lake, f"Ping Pong/{name}")
    outcome = register(lake, f"Ping Pong/{name}")
    assert outcome.status == "registered" and check_video_key(outcome.key).startswith("ping-pong.")
    assert read_manifest(lake, outcome.key).source == f"Ping Pong/{name}"


@pytest.mark.parametrize(
    "source", ["../outside.mp4", "tennis/../../outside.mp4", "/etc/passwd", "a.mp4", "a/b/c/d.mp4"]
)
def test_a_path_out_of_the_drop_zone_is_refused(lake, source):
    drop(lake, "tennis/a.mp4")
    write_clip(lake.root / "outside.mp4")
    with pytest.raises(ValueError, match="not of the form"):
        register(lake, source)


def test_a_link_is_refused_wherever_it_stands_in_the_path(lake, tmp_path):
    drop(lake, "tennis/a.mp4")
    write_clip(tmp_path / "outside" / "a.mp4")
    raw = lake.raw
    (raw / "golf").symlink_to(tmp_path / "outside")
    (raw / "tennis" / "b.mp4").symlink_to(tmp_path / "outside" / "a.mp4")
    for source in ("golf/a.mp4", "tennis/b.mp4"):
        with pytest.raises(ValueError, match="links are not followed"):
            register(lake, source)
    assert registry_of(lake).log == []


def test_what_cannot_be_read_is_quarantined_with_the_reason(lake):
    whole = drop(lake, "tennis/whole.mp4").read_bytes()
    one_frame = write_clip(lake.raw / "tennis" / "one.mp4", frame_count=1)
    assert one_frame.exists()
    for name, content, says in (
        ("text.mp4", b"this is not a video", ""),
        ("empty.mp4", b"", "empty"),
        ("cut.mp4", whole[: len(whole) // 2], ""),
        ("one.mp4", one_frame.read_bytes(), "single frame"),
    ):
        (lake.raw / "tennis" / name).write_bytes(content)
        outcome = register(lake, f"tennis/{name}")
        assert outcome.status == "quarantined" and outcome.key is None
        assert outcome.reason and says in outcome.reason
        assert outcome.retry_after_ns is None
    assert not list(lake.root.glob("footage/*/*.json"))
    assert register(lake, "tennis/whole.mp4").status == "registered"


def test_the_same_content_twice_is_one_video(lake):
    first = drop(lake, "tennis/a.mp4")
    second = lake.raw / "golf" / "other name.mp4"
    second.parent.mkdir()
    second.write_bytes(first.read_bytes())
    original, copy = register(lake, "tennis/a.mp4"), register(lake, "golf/other name.mp4")
    assert (copy.status, copy.key) == ("duplicate", original.key)
    assert copy.reason == "same content as raw/tennis/a.mp4"
    assert read_manifest(lake, original.key).source == "tennis/a.mp4"


def test_a_moved_clip_keeps_its_key_and_takes_the_labels_of_its_new_place(lake):
    path = drop(lake, "tennis/a.mp4")
    before = register(lake, "tennis/a.mp4")
    moved = path.parent / "lob" / "b.mp4"
    moved.parent.mkdir()
    path.rename(moved)
    after = register(lake, "tennis/lob/b.mp4")
    assert (after.status, after.key) == ("registered", before.key)
    manifest = read_manifest(lake, before.key)
    assert (manifest.source, manifest.label) == ("tennis/lob/b.mp4", "lob")


def test_a_replaced_clip_is_a_new_video_and_the_old_one_stays(lake):
    path = drop(lake, "tennis/a.mp4", variant=1)
    first = register(lake, "tennis/a.mp4")
    write_clip(path, variant=2)
    second = register(lake, "tennis/a.mp4")
    assert second.status == "registered" and second.key != first.key
    assert read_manifest(lake, first.key).sha256 == first.sha256
    with pytest.raises(ValueError, match=r"raw/tennis/a\.mp4 now holds other content"):
        refresh_manifest(lake, first.key)


def test_two_contents_with_the_same_key_are_told_apart(lake):
    """A real collision of the 8 hash digits in the key, found by the birthday paradox among ~80,000 contents."""
    path = drop(lake, "tennis/a.mp4")
    content = path.read_bytes()
    base, seen, number = hashlib.sha256(content), {}, 0
    while True:
        box = free_box(number.to_bytes(8, "big"))
        digest = base.copy()
        digest.update(box)
        if (short := digest.hexdigest()[:8]) in seen:
            break
        seen[short] = box
        number += 1
    path.write_bytes(content + seen[short])
    first = register(lake, "tennis/a.mp4")
    path.write_bytes(content + box)
    second = register(lake, "tennis/a.mp4")
    assert first.key == f"tennis.a.{short}" and second.status == "quarantined"
    assert first.key in second.reason and "rename this file" in second.reason
    assert read_manifest(lake, first.key).sha256 == first.sha256
    path.rename(path.with_name("b.mp4"))
    assert register(lake, "tennis/b.mp4").key == f"tennis.b.{short}"


def test_a_file_that_changes_while_it_is_read_is_not_registered(lake, monkeypatch):
    path = drop(lake, "tennis/a.mp4")

    def probe_while_written(video):
        info = registration_probe(video)
        with path.open("ab") as stream:
            stream.write(free_box(b"more"))
        return info

    registration_probe = registration.probe
    monkeypatch.setattr(registration, "probe", probe_while_written)
    with pytest.raises(StillChanging, match="still being written"):
        register(lake, "tennis/a.mp4")
    assert registry_of(lake).log == []
    path.unlink()
    with pytest.raises(FileNotFoundError):
        register(lake, "tennis/a.mp4")


def test_a_wrong_sidecar_quarantines_only_until_it_is_corrected(lake):
    path = drop(lake, "tennis/a.mp4")
    sidecar = path.with_name("a.mp4.json")
    sidecar.write_text('{"lable": "serve"}')
    outcome = register(lake, "tennis/a.mp4")
    assert outcome.status == "quarantined" and outcome.reason.startswith("a.mp4.json: lable: is not known")
    assert outcome.retry_after_ns
    sidecar.write_text('{"label": "serve"}')
    assert register(lake, "tennis/a.mp4").status == "registered"


def test_a_lost_manifest_is_made_again(lake):
    path = drop(lake, "tennis/a.mp4")
    key = register(lake, "tennis/a.mp4").key
    lake.footage(key).unlink()
    with pytest.raises(FileNotFoundError, match=key):
        read_manifest(lake, key)
    os.utime(path)
    assert register(lake, "tennis/a.mp4").key == key
    assert read_manifest(lake, key).source == "tennis/a.mp4"


def test_looking_again_takes_in_an_edited_sidecar(lake):
    path = drop(lake, "tennis/a.mp4")
    key = register(lake, "tennis/a.mp4").key
    path.with_name("a.mp4.json").write_text(json.dumps({"label": "ace", "captions": ["fast"], "participant": "Ana B"}))
    manifest = refresh_manifest(lake, key)
    assert (manifest.label, manifest.captions, manifest.participant) == ("ace", ["fast"], "Ana B")
    assert manifest.split_group == "ana b"
    assert read_manifest(lake, key) == manifest
    path.with_name("a.mp4.json").write_text("{")
    with pytest.raises(LabelError):
        refresh_manifest(lake, key)
    assert read_manifest(lake, key) == manifest


def test_looking_again_finds_a_duplicate_when_the_first_file_is_gone(lake):
    path = drop(lake, "tennis/a.mp4")
    copy = path.with_name("b.mp4")
    copy.write_bytes(path.read_bytes())
    key = register(lake, "tennis/a.mp4").key
    register(lake, "tennis/b.mp4")
    path.unlink()
    assert refresh_manifest(lake, key).source == "tennis/b.mp4"
    copy.unlink()
    with pytest.raises(FileNotFoundError, match=r"raw/tennis/b\.mp4 is gone"):
        refresh_manifest(lake, key)


def test_a_selfie_can_be_declared_and_the_declaration_taken_back(lake):
    path = drop(lake, "tennis/selfie.mp4")
    sidecar = path.with_name("selfie.mp4.json")
    sidecar.write_text('{"mirrored": true}')
    key = register(lake, "tennis/selfie.mp4").key
    assert read_manifest(lake, key).mirrored
    sidecar.unlink()
    assert not refresh_manifest(lake, key).mirrored
