"""Files that are damaged or made to do harm: each is quarantined by name, and the clips beside it are registered."""

import codecs
import json
import resource
import shutil
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.footage import register as registering
from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.intake import WatchState, look
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.unit.motion.people import moving_person, real_data
from posellm_assets_tests.waits import HANG_S


@pytest.fixture
def lake(tmp_path):
    """A lake whose hostile files come before and after two good clips."""
    (tmp_path / "raw" / "gym").mkdir(parents=True)
    write_clip(tmp_path / "raw" / "gym" / "good1.mp4", 1)
    write_clip(tmp_path / "raw" / "gym" / "good2.mp4", 2)
    return Lake(tmp_path)


def outcomes(lake):
    found = look(lake, FootageConfig(settle_s=0), WatchState(), 1000.0)
    registered = {outcome.path.removeprefix("gym/") for outcome in found.outcomes if outcome.status == "registered"}
    return registered, {path.removeprefix("gym/"): reason for path, reason in found.quarantine.items()}


def with_metadata(path, text, key="posellm_motion", rows=3):
    table = pa.table({"joints": [[0.0, 1.0, 2.0]] * rows})
    pq.write_table(table.replace_schema_metadata({key: text}), path)


def about(**said):
    return json.dumps({"fps": 30, "skeleton": {"name": "x", "joints": ["a"]}, **said})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 50_000 + "]" * 50_000, "not JSON"),
        (about().replace("30", "1" + "0" * 400), "not a motion file"),
        (about().replace("30", "9" * 5000), "not JSON"),
        (about(fps=1e308), "at 1e\\+308 frames/s"),
        (about().replace("30", "NaN"), "at nan frames/s"),
        (about(fps=[]), "not a motion file"),
        (about(skeleton={"name": "x" * 100_000, "joints": ["a"]}), "at most 1,000 joints"),
        (about(skeleton={"name": "x", "joints": ["a"] * 2000}), "2,000 joints"),
        ("3", "not a motion file"),
        ("null", "not a motion file"),
    ],
)
def test_a_deep_motion_parquet_and_other_absurd_metadata_are_quarantined_alone(lake, text, reason):
    with_metadata(lake.raw / "gym" / "a.motion.parquet", text)
    with_metadata(lake.raw / "gym" / "z.motion.parquet", text)
    registered, quarantine = outcomes(lake)
    assert registered == {"good1.mp4", "good2.mp4"}
    assert set(quarantine) == {"a.motion.parquet", "z.motion.parquet"}
    with pytest.raises(registering.UnreadableCapture, match=reason):
        registering.probe_capture(lake.raw / "gym" / "a.motion.parquet")


def test_case_a_deep_motion_parquet(lake):
    shutil.copy(real_data() / "cases" / "a_deep.motion.parquet", lake.raw / "gym")
    registered, quarantine = outcomes(lake)
    assert registered == {"good1.mp4", "good2.mp4"}
    assert "posellm_motion is not JSON" in quarantine["a_deep.motion.parquet"]


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xfc", 0, 1, "odd"), RuntimeError(), ZeroDivisionError()]
)
def test_an_error_of_any_kind_quarantines_its_file_and_stops_no_other(lake, monkeypatch, error):
    """What a reader raises cannot be known beforehand, so it is put in its place."""
    write_clip(lake.raw / "gym" / "a bad.mp4", 3)
    probe = registering.probe

    def fails(path):
        if path.name == "a bad.mp4":
            raise error
        return probe(path)

    monkeypatch.setattr(registering, "probe", fails)
    registered, quarantine = outcomes(lake)
    assert registered == {"good1.mp4", "good2.mp4"}
    assert type(error).__name__ in quarantine["a bad.mp4"]


def test_a_clip_whose_outcome_cannot_be_written_stops_no_other(lake, monkeypatch):
    write = registering.write_manifest

    def fails(lake, manifest):
        if "good1" in manifest.key:
            raise OSError(28, "No space left on device")
        write(lake, manifest)

    monkeypatch.setattr(registering, "write_manifest", fails)
    registered, quarantine = outcomes(lake)
    assert registered == {"good2.mp4"}
    assert "No space left" in quarantine["good1.mp4"]
    monkeypatch.undo()
    assert outcomes(lake)[0] == {"good1.mp4"}


def bomb(path, values=50_000_000, key="posellm_motion", text=None):
    """A row of one number, repeated: 1.3 KB that become 400 MB, and as Python's numbers 3 GB."""
    numbers = pa.array(memoryview(bytes(8 * values)).cast("d"))
    lists = pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), numbers)
    table = pa.table({"joints": lists}).replace_schema_metadata({key: text or about()})
    pq.write_table(table, path, data_page_size=1 << 30)


def test_a_bomb_of_one_repeated_number_is_refused_before_memory_is_taken(tmp_path):
    bomb(tmp_path / "a.motion.parquet")
    assert (tmp_path / "a.motion.parquet").stat().st_size < 100_000
    with pytest.raises(registering.UnreadableCapture, match="claim to hold 50,000,000 values"):
        registering.probe_capture(tmp_path / "a.motion.parquet")


@pytest.mark.parametrize("case", ["rle_bomb.parquet", "meta_deep.parquet"])
def test_case_of_a_parquet_bomb_is_refused_within_bounded_memory(case):
    path = real_data() / "cases" / case
    context = get_context("spawn")
    said = context.Queue()
    child = context.Process(target=_read, args=(path, said))
    child.start()
    reason = said.get(timeout=HANG_S)
    child.join()
    assert ("claim to hold 50,000,000" if case == "rle_bomb.parquet" else "joint_names is not JSON") in reason


def _read(path, said):
    from posellm_assets.motion.formats import read_motions
    from posellm_assets.motion.sources import Declaration

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (256 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        list(read_motions(path, Declaration()))
    except ValueError as error:
        said.put(str(error))


@pytest.mark.parametrize("name", ["good1.mp4.json", "labels.csv"])
def test_a_byte_order_mark_before_labels_is_read(lake, name):
    text = json.dumps({"label": "squat"}) if name.endswith("json") else "file,label\ngood1.mp4,squat\n"
    (lake.raw / "gym" / name).write_bytes(codecs.BOM_UTF8 + text.encode())
    found = look(lake, FootageConfig(settle_s=0), WatchState(), 1000.0).outcomes
    assert read_manifest(lake, found[0].key).label == "squat"


@pytest.mark.parametrize("name", ["good1.mp4.json", "labels.csv"])
def test_labels_in_utf_16_are_named_with_what_to_do(lake, name):
    (lake.raw / "gym" / name).write_bytes('{"label": "squat"}'.encode("utf-16"))
    assert outcomes(lake)[1]["good1.mp4"] == f"{name} is UTF-16 text; save it as UTF-8"


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv"])
def test_a_title_tag_that_is_not_utf_8_is_read_like_any_other(lake, ending):
    """The kind of the case a_latin1.avi."""
    path = lake.raw / "gym" / f"a.{ending}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Kniebeuge frXXh"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 240, 40):
            picture = np.full((48, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert b"frXXh" in content
    path.write_bytes(content.replace(b"frXXh", b"fr\xfc\xfch"))
    assert outcomes(lake) == ({path.name, "good1.mp4", "good2.mp4"}, {})


def test_case_a_latin1_avi(lake):
    shutil.copy(real_data() / "cases" / "a_latin1.avi", lake.raw / "gym")
    assert outcomes(lake) == ({"a_latin1.avi", "good1.mp4", "good2.mp4"}, {})


def test_a_whole_motion_is_still_registered(lake):
    moving_person(40).write(lake.raw / "gym" / "walk.motion.parquet")
    assert outcomes(lake)[0] == {"good1.mp4", "good2.mp4", "walk.motion.parquet"}


def landmarks_with(path, rows=None, **said):
    """Two frames of one person, but for what is said otherwise in the metadata and for whole columns in `rows`."""
    held = {"people": 1, "width": 640, "height": 480, "fps": 30, **said}
    columns = {"frame": [0, 1], "time_s": [0.0, 0.04], "x": [[0.0] * 33] * 2, **(rows or {})}
    pq.write_table(pa.table(columns).replace_schema_metadata({"posellm_poses": json.dumps(held)}), path)


@pytest.mark.parametrize(
    ("said", "rows", "reason"),
    [
        ({"people": 10**9}, None, "1000000000 people: a clip has 1 to 16"),
        ({"people": [1]}, None, "\\[1\\] people"),
        ({"width": 10**9}, None, "1000000000 x 480: a side has 1 to 100,000 pixels"),
        ({"height": -1}, None, "640 x -1"),
        ({"fps": float("nan")}, None, "at nan frames/s"),
        ({"fps": "x"}, None, "not a file of poses"),
        ({}, {"frame": [0, 2_000_000_000]}, "not counted one by one"),
        ({}, {"frame": [-5, 1]}, "not counted one by one"),
        ({}, {"time_s": [0.0, 1e300]}, "2 frames at 1e-300 frames/s"),
        ({}, {"time_s": [0.0, float("inf")]}, "do not increase from 0 on"),
        ({}, {"time_s": [0.04, 0.04]}, "do not increase from 0 on"),
        ({}, {"time_s": [-1.0, 0.04]}, "do not increase from 0 on"),
        ({}, {"time_s": ["a", "b"]}, "not a file of poses"),
        ({}, {"time_s": [None, 0.04]}, "do not increase from 0 on"),
    ],
)
def test_landmarks_that_claim_the_absurd_are_quarantined_alone(lake, said, rows, reason):
    landmarks_with(lake.raw / "gym" / "a.poses.parquet", rows, **said)
    registered, quarantine = outcomes(lake)
    assert registered == {"good1.mp4", "good2.mp4"} and set(quarantine) == {"a.poses.parquet"}
    with pytest.raises(registering.UnreadableCapture, match=reason):
        registering.probe_landmarks(lake.raw / "gym" / "a.poses.parquet")


@pytest.mark.parametrize("text", ["[" * 50_000, "3", "null", "{}"])
def test_landmarks_with_absurd_metadata_are_quarantined_alone(lake, text):
    with_metadata(lake.raw / "gym" / "a.poses.parquet", text, "posellm_poses")
    registered, quarantine = outcomes(lake)
    assert registered == {"good1.mp4", "good2.mp4"} and set(quarantine) == {"a.poses.parquet"}


def test_a_bomb_of_landmarks_is_refused_before_memory_is_taken(tmp_path):
    about = json.dumps({"people": 1, "width": 640, "height": 480, "fps": 30})
    bomb(tmp_path / "a.poses.parquet", key="posellm_poses", text=about)
    with pytest.raises(registering.UnreadableCapture, match="claim to hold 50,000,000 values"):
        registering.probe_landmarks(tmp_path / "a.poses.parquet")
    frames = pa.array(range(30_000), pa.int32())
    rows = {"frame": frames, "time_s": pa.array([number / 30 for number in range(30_000)])}
    rows["x"] = pa.array([[0.0] * 264] * 30_000)
    landmarks_with(tmp_path / "b.poses.parquet", rows, people=16)
    with pytest.raises(registering.UnreadableCapture, match="room for 127,680,000 numbers, of at most 50,000,000"):
        registering.probe_landmarks(tmp_path / "b.poses.parquet")
