"""Landmarks without their videos through the graph: imported, judged like poses found here, and drawn on black."""

import csv
from pathlib import Path

import cv2
import dagster as dg
import numpy as np
import pytest
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.coaching.labels.config import TeacherConfig
from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.commands.importing import import_poses
from posellm_assets.footage.capture import LandmarksInfo
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.imports import declared
from posellm_assets.poses.models import ModelUnavailable
from posellm_assets.poses.poses import Poses
from posellm_assets.problems import all_problems
from posellm_assets.texts.captions import read_captions
from posellm_assets_tests.assets.test_motion_capture import ingest
from posellm_assets_tests.unit.motion.people import real_data
from posellm_assets_tests.unit.poses.bodies import poses_of, walking
from posellm_assets_tests.unit.poses.test_imports import squatting


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def bring_in(lake: Lake, *paths: Path, sport: str | None = "gym") -> list[str]:
    """The keys of what was imported and registered, or why it was not."""
    placed, _ = import_poses(lake, list(paths), sport, declared())
    outcomes = [register(lake, path.relative_to(lake.raw).as_posix()) for path, _ in placed]
    return [outcome.key or outcome.reason or "" for outcome in outcomes]


def test_landmarks_become_poses_motion_and_captions_without_the_pose_model(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_network: str) -> None:
        raise ModelUnavailable("no pose model on this machine")

    monkeypatch.setattr("posellm_assets.poses.extract.ensure_model", missing)
    poses = squatting()
    poses.write(tmp_path / "deep squat.parquet")
    (tmp_path / "labels.csv").write_text("file,label,recording\ndeep squat.parquet,squat,tape 1\n")
    with dg.DagsterInstance.ephemeral() as instance:
        (key,) = bring_in(lake, tmp_path)
        result = ingest(lake, [key], instance)
        assert result.success, all_problems(lake)
        made = {
            name
            for name in ("footage", "poses", "motion", "captions")
            if instance.get_materialized_partitions(dg.AssetKey(name))
        }
    assert made == {"footage", "poses", "motion", "captions"}
    manifest = read_manifest(lake, key)
    assert isinstance(manifest.video, LandmarksInfo)
    assert (manifest.video.frame_count, manifest.video.duration_s, manifest.label) == (50, 2.0, "squat")
    assert manifest.split_group == "tape 1"
    np.testing.assert_array_equal(Poses.read(lake.poses(key)).world, poses.world)
    assert Motion.read(lake.motion(key)).duration_s == pytest.approx(1.96, abs=0.06)
    assert any("squat" in text.text for text in read_captions(lake, key).texts)
    sheet = cv2.imdecode(np.frombuffer(lake.contact_sheet(key).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (3 * 180, 2 * 320, 3)
    assert 0.01 < (sheet.max(axis=2) > 100).mean() < 0.3  # a skeleton on black


def test_rules_coach_what_only_landmarks_are_of(lake: Lake, tmp_path: Path) -> None:
    squatting(125).write(tmp_path / "a.parquet")
    (tmp_path / "a.parquet.json").write_text('{"label": "squat"}')
    with dg.DagsterInstance.ephemeral() as instance:
        (key,) = bring_in(lake, tmp_path / "a.parquet")
        assert ingest(lake, [key], instance).success
    teachers: list[TeacherConfig] = ["rules"]
    assert Labeller(lake, teachers).label(key).exercise == "squat"


def test_a_clip_in_which_nobody_is_seen_fails_the_gates_of_every_clip(lake: Lake, tmp_path: Path) -> None:
    path = walking(50, 300, 900)
    path[:40] = np.nan
    poses_of([path]).write(tmp_path / "away.parquet")
    with dg.DagsterInstance.ephemeral() as instance:
        (key,) = bring_in(lake, tmp_path / "away.parquet")
        assert ingest(lake, [key], instance).success, "it is no fault of the run"
    (problem,) = all_problems(lake)
    assert problem.step == "poses" and "No person in view in 80% of 50 frames" in problem.reason


def test_a_clip_declared_to_be_mirrored_is_mirrored_back(lake: Lake, tmp_path: Path) -> None:
    poses = squatting()
    poses.world[:, 0, 15] += np.array([0.3, -0.4, 0.0], np.float32)
    poses.write(tmp_path / "a.parquet")
    (tmp_path / "a.parquet.json").write_text('{"mirrored": true}')
    with dg.DagsterInstance.ephemeral() as instance:
        (key,) = bring_in(lake, tmp_path / "a.parquet")
        assert ingest(lake, [key], instance).success
    np.testing.assert_allclose(Poses.read(lake.poses(key)).world[:, 0, 16], poses.world[:, 0, 15] * [-1, 1, 1])


def test_a_table_names_the_sport_of_each_file_and_what_is_not_used_is_said(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one", "two"):
        squatting().write(folder / f"{name}.parquet")
    (folder / "labels.csv").write_text(
        "file,sport,label,room,source\none.parquet,gym,squat,hall,s1\ntwo.parquet,table tennis,serve,,s2\n"
    )
    done = CliRunner().invoke(app, ["import", "poses", str(folder), "--lake", str(lake.root)])
    assert done.exit_code == 0, done.output
    assert "not used are the columns room" in done.output
    assert "2.0 s, 50 frames, 1 person, the subject in 100%" in done.output
    placed = sorted(path.relative_to(lake.raw).as_posix() for path in lake.raw.rglob("*.parquet"))
    assert placed == ["gym/one.poses.parquet", "table-tennis/two.poses.parquet"]
    manifest = read_manifest(lake, register(lake, placed[1]).key or "")
    assert (manifest.label, manifest.participant) == ("serve", "s2")
    (folder / "labels.csv").write_text("file,label\none.parquet,squat\n")
    with pytest.raises(ValueError, match=r"one\.parquet: no sport is named; give --sport, or a column sport"):
        import_poses(lake, [folder], None, declared())


def test_a_folder_is_imported_whole_or_not_at_all(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    squatting().write(folder / "a.parquet")
    (folder / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"b\.parquet: this is not a readable parquet file"):
        import_poses(lake, [folder], "gym", declared())
    assert not lake.raw.exists()


def test_a_video_command_says_that_there_are_no_pictures(lake: Lake, tmp_path: Path) -> None:
    squatting().write(tmp_path / "a.poses.parquet")
    lines = CliRunner().invoke(
        app, ["coach", str(tmp_path / "a.poses.parquet"), "--exercise", "squat", "--lake", str(lake.root)]
    )
    assert lines.exit_code == 1 and "a.poses.parquet holds landmarks and no pictures" in str(lines.exception)
    described = CliRunner().invoke(app, ["describe", str(tmp_path / "a.poses.parquet"), "--lake", str(lake.root)])
    assert described.exit_code == 0 and "knee" in described.output


def test_the_real_clips_come_in_with_their_sports_and_sources(lake: Lake) -> None:
    folder = real_data() / "real_poses"
    with (folder / "labels.csv").open() as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    few = [folder / name for name in sorted({*sorted(rows)[::15], "negative.no_person.01.parquet"})]
    placed, unused = import_poses(lake, few, None, declared())
    assert {"frames", "people"} <= set(unused) and len(placed) == len(few)
    with dg.DagsterInstance.ephemeral() as instance:
        keys = [register(lake, path.relative_to(lake.raw).as_posix()).key or "" for path, _ in placed]
        ingest(lake, keys, instance)
    for file, key in zip(few, keys, strict=True):
        manifest, row = read_manifest(lake, key), rows[file.name]
        assert (manifest.label, manifest.participant) == (row["label"], row["source"])
        np.testing.assert_array_equal(Poses.read(lake.poses(key)).world, Poses.read(file).world)
    refused = {problem.key for problem in all_problems(lake)}
    nobody = {"no_person", "hands_only"}
    assert refused == {key for file, key in zip(few, keys, strict=True) if rows[file.name]["label"] in nobody} != set()
