"""Poses in memory and in parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.poses.poses import InvalidPoses, Poses
from posellm_assets_tests.unit.poses.bodies import poses_of, standing, walking

ARRAYS = ("time_s", "landmarks", "visibility", "presence", "world")


def sample() -> Poses:
    walker, other = walking(12, 300, 700), standing(12, 1000)
    walker[:2] = walker[7] = walker[11] = np.nan  # nobody at the start, in the middle and at the end
    other[:9] = other[11] = np.nan
    poses = poses_of([walker, other])
    noise = np.random.default_rng(3)
    poses.world += noise.normal(0, 0.1, poses.world.shape).astype(np.float32)
    poses.parameters = {"network": "full", "people": 2}
    return poses


def test_a_round_trip_keeps_every_bit_and_every_empty_frame(tmp_path: Path) -> None:
    poses = sample()
    poses.write(tmp_path / "poses.parquet")
    back = Poses.read(tmp_path / "poses.parquet")
    for name in ARRAYS:
        one, other = getattr(poses, name), getattr(back, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=True), name
    assert (back.width, back.height, back.fps) == (1280, 720, 25.0)
    assert (back.model_sha256, back.parameters) == ("0" * 64, {"network": "full", "people": 2})


def test_a_clip_without_anybody_survives_too(tmp_path: Path) -> None:
    poses = poses_of([np.full((5, 3), np.nan)])
    poses.write(tmp_path / "poses.parquet")
    back = Poses.read(tmp_path / "poses.parquet")
    assert back.landmarks.shape == (5, 1, 33, 3)
    assert not back.seen.any()
    assert np.array_equal(back.time_s, poses.time_s)


def test_others_can_read_the_file_without_us(tmp_path: Path) -> None:
    poses = sample()
    poses.write(tmp_path / "poses.parquet")
    table = pq.read_table(tmp_path / "poses.parquet")
    row = table.slice(3, 1).to_pylist()[0]
    assert row["frame"] == 3
    assert row["person"] == 0
    assert row["world_y"] == pytest.approx(poses.world[3, 0, :, 1].tolist())
    assert table.schema.field("x").type == pa.list_(pa.float32(), 33)


def test_the_subject_is_picked_frame_by_frame() -> None:
    poses = sample()
    person = np.array([-1, -1, 0, 0, 0, 0, 0, -1, 0, 1, 1, -1])
    one = poses.of(person)
    assert np.array_equal(one.seen, person >= 0)
    assert np.array_equal(one.world[5], poses.world[5, 0])
    assert np.array_equal(one.world[9], poses.world[9, 1])
    with pytest.raises(ValueError, match="chosen over 3 frames"):
        poses.of(person[:3])


def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "poses.parquet"
    sample().write(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidPoses, match=r"poses\.parquet: this is not a readable parquet file"):
        Poses.read(path)


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), path)
    with pytest.raises(InvalidPoses, match="extract the poses again"):
        Poses.read(path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "poses.parquet"
    sample().write(path)
    table = pq.read_table(path)
    about = table.schema.metadata[b"posellm_poses"].replace(b'"schema_version": 1', b'"schema_version": 9')
    pq.write_table(table.replace_schema_metadata({b"posellm_poses": about}), path)
    with pytest.raises(InvalidPoses, match="schema 9, this version reads 1"):
        Poses.read(path)
