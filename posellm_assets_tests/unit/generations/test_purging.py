"""An athlete asks that what is theirs goes: it goes by whole names, and nothing else goes with it."""

import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.checksums import check_model, record, record_folder
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.footage.registry import registry_of
from posellm_assets.generations.purging import purge
from posellm_assets.generations.snapshots import build_examples, freeze, read_snapshot
from posellm_assets.lake import METRICS, PAGE, SUMMARY, Lake
from posellm_assets.lake_check.faults import faults
from posellm_assets.texts.captions import Captions, CaptionText, write_captions
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.tokens import segment, write_tokens

LINEAGE = "vq-01234567"


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def made(lake: Lake, path, content: bytes = b"{}") -> None:
    write_bytes(path, content)
    record(lake, [path])


def taken_in(lake: Lake, place: str, variant: int, participant: str) -> str:
    """A clip with all that an ingest makes of it, as far as it matters here."""
    write_clip(lake.raw / place, variant)
    write_json(lake.raw / f"{place}.json", {"participant": participant, "captions": [f"{participant} does it well."]})
    key = register(lake, place).key or ""
    for path in (lake.poses(key), lake.contact_sheet(key), lake.motion(key), lake.problem("captions", key)):
        made(lake, path, json.dumps(key).encode())
    texts = [CaptionText(text=f"{participant} does it well.", kind="user", language="en")]
    write_captions(lake, Captions(key=key, texts=texts, facts=[]))
    write_tokens(lake, LINEAGE, key, [segment([1, 2, 3], mirrored=[4, 5, 6])])
    return key


def trained(lake: Lake, keys: list[str]) -> str:
    """A snapshot of videos, and what trainings and reports keep of it."""
    snapshot = freeze(lake, keys, LINEAGE, parent=None, settings={"language": {"stages": [{"name": "stage1"}]}})
    build_examples(lake, snapshot)
    name, people = snapshot.snapshot, [one.participant for one in snapshot.videos]
    stage = lake.stage(name, "stage1")
    write_json(stage / "final" / "vocabulary.json", {"participants": people})
    write_json(stage / "final" / "tokenizer.json", {"added": [f"<PID_{who}>" for who in people]})
    write_json(stage / "job.json", {"motions": {key: str(lake.motion(key)) for key in keys}, "rendered": keys})
    write_json(stage / "checkpoint-5" / "position.json", {"participants": people})
    record_folder(stage)
    report = lake.report(name)
    rows = [{"key": key, "text": "a squat"} for key in keys]
    write_json(report / METRICS, {"said": rows, "people": people, "figures": {"naming_accuracy": {"value": 1.0}}})
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"case": f"{key} part 0", "value": 1.0} for key in keys]), table)
    write_bytes(report / "cases.parquet", table.getvalue())
    write_bytes(report / PAGE, "".join(f"<p>real: {key}" for key in keys).encode())
    record_folder(report)
    write_bytes(lake.coaching_report(name) / SUMMARY, "".join(f"- {key}: shallow\n" for key in keys).encode())
    data = lake.action_dataset(name)
    examples = [{"id": f"e{at}", "file": f"e{at}.mp4", "key": key} for at, key in enumerate(keys)]
    write_json(data / "examples.json", {"examples": examples})
    write_bytes(
        data / "train.jsonl",
        "".join(json.dumps({"messages": [{"video": f"videos/{one['file']}"}]}) + "\n" for one in examples).encode(),
    )
    for one in examples:
        write_bytes(data / "videos" / one["file"], one["key"].encode())
    for key in keys:
        write_bytes(lake.coaching_dataset(name) / "images" / f"{key}.jpg", b"a picture")
    record_folder(data)
    return name


def everything(lake: Lake) -> str:
    """All names and texts of a lake, of tables too."""
    said = []
    for path in sorted(lake.root.rglob("*")):
        said.append(str(path.relative_to(lake.root)))
        if path.is_file():
            is_table = path.suffix == ".parquet" and path.read_bytes()[:4] == b"PAR1"
            said.append(str(pq.read_table(path).to_pylist()) if is_table else path.read_bytes().decode(errors="ignore"))
    return "\n".join(said)


def test_nothing_of_a_purged_clip_is_found_and_all_of_the_others_is(lake):
    key = taken_in(lake, "fitness/squat.mp4", 1, "Ana Lopez")
    alike = taken_in(lake, "fitness/squat2.mp4", 2, "Ana Lopezovic")
    names = [trained(lake, [key, alike]), trained(lake, [key, alike])]
    # Begins alike and waits: it has no key, and nobody has looked at it.
    for place, content in (("squat.mp4.mov", b"waits"), ("my squat.mp4", b"waits"), ("squat", b"waits")):
        write_bytes(lake.raw / "fitness" / place, content)
    write_bytes(lake.removed / "fitness" / "copy.mp4", (lake.raw / "fitness/squat.mp4").read_bytes())
    write_bytes(lake.raw / "fitness" / "waits too.mp4", (lake.raw / "fitness/squat.mp4").read_bytes())
    twin = lake.poses(f"x-{key}")  # the same content in a sport whose name ends alike
    made(lake, twin, b"another sport's")
    of_others = everything(lake).count(alike)
    assert "Ana Lopez does it well" in everything(lake)
    assert purge(lake, key) == names
    left = everything(lake).replace(f"x-{key}", "")
    for word in (key, "fitness/squat.mp4\n", "Ana Lopez ", '"Ana Lopez"', "Ana Lopez>", "waits too.mp4", "copy.mp4"):
        assert word not in left, word
    assert read_json(lake.purged) == {hashlib.sha256(key.encode()).hexdigest(): names}
    assert twin.read_bytes() == b"another sport's" and (lake.raw / "fitness/squat2.mp4").is_file()
    assert sorted(path.name for path in (lake.raw / "fitness").iterdir() if path.suffix != ".json") == [
        *("my squat.mp4", "squat", "squat.mp4.mov", "squat2.mp4")
    ]
    assert left.count(alike) == of_others - 2, "but for the pages of two reports, which showed both"
    assert read_manifest(lake, alike).participant == "Ana Lopezovic" and registry_of(lake).damaged == []


def test_a_purged_lake_is_whole_and_what_was_trained_still_opens(lake):
    key, other = taken_in(lake, "fitness/a.mp4", 1, "Ana"), taken_in(lake, "fitness/b.mp4", 2, "Bo")
    name = trained(lake, [key, other])
    purge(lake, key)
    stage = lake.stage(name, "stage1")
    check_model(stage / "final")
    alias = read_json(stage / "final" / "vocabulary.json")["participants"][0]
    assert alias.startswith("removed-") and f"<PID_{alias}>" in read_json(stage / "final" / "tokenizer.json")["added"]
    assert not list(stage.glob("checkpoint-*")), "a training goes on from no state that has seen it"
    assert read_json(stage / "job.json") == {"motions": {other: str(lake.motion(other))}, "rendered": [other]}
    data = lake.action_dataset(name)
    assert [path.name for path in (data / "videos").glob("*.mp4")] == ["e1.mp4"]
    assert (data / "train.jsonl").read_text().count("videos/e1.mp4") == 1
    snapshot = read_snapshot(lake, name)
    parts = {path: path.stat().st_mtime_ns for path in lake.snapshot(name).parent.glob("*.parquet/*")}
    build_examples(lake, snapshot)
    assert {path: path.stat().st_mtime_ns for path in lake.snapshot(name).parent.glob("*.parquet/*")} == parts
    broken = {fault.path for fault in faults(lake) if lake.root / "raw" not in fault.path.parents}
    assert not {path for path in broken if path.is_relative_to(lake.snapshots) or path.is_relative_to(stage)}


def test_a_name_that_others_have_too_stays_and_goes_with_the_last_however_it_was_written(lake):
    key, other = taken_in(lake, "fitness/a.mp4", 1, "Ana"), taken_in(lake, "fitness/b.mp4", 2, "ana ")
    name = trained(lake, [key, other])
    purge(lake, key)
    assert read_json(lake.stage(name, "stage1") / "final" / "vocabulary.json")["participants"] == ["Ana", "ana "]
    purge(lake, other)
    assert "ana" not in everything(lake).lower().replace("analys", "")


def test_purging_again_after_it_was_interrupted_ends_it(lake, monkeypatch):
    key = taken_in(lake, "fitness/a.mp4", 1, "Ana")
    monkeypatch.setattr("posellm_assets.generations.purging._named", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purge(lake, key)
    monkeypatch.undo()
    purge(lake, key)
    assert "Ana" not in everything(lake) and key not in everything(lake)
