"""Motion capture through the graph: imported, taken in like a video without poses, and taken out again."""

import json
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from posellm_assets.commands.exporting import export_motion
from posellm_assets.commands.importing import import_motion
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.motion import MOTION
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import VideoAsset, video_assets
from posellm_assets.files import write_json
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.labels import sidecar_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets.motion.arrays import write_npy
from posellm_assets.motion.bvh import motion_from_bvh
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.sources import Declaration, declared
from posellm_assets.problems import all_problems
from posellm_assets.texts.captions import read_captions
from posellm_assets_tests.unit.motion.people import moving_person

UNDECLARED = Declaration()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def bring_in(lake: Lake, *paths: Path, label: str | None = "walk") -> list[str]:
    """The keys of what was imported and registered."""
    placed, _ = import_motion(lake, list(paths), "parkour", declared(label=label, participant="ana"))
    outcomes = [register(lake, path.relative_to(lake.raw).as_posix()) for path, _ in placed]
    return [outcome.key or outcome.reason or "" for outcome in outcomes]


def ingest(
    lake: Lake,
    keys: list[str],
    instance: dg.DagsterInstance,
    assets: Sequence[VideoAsset] = (FOOTAGE, POSES, MOTION, CAPTIONS),
) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(videos.name or "", keys)
    first, last = min(keys), max(keys)
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(
        [video_assets("ingest", assets, max_videos_per_run=10)],
        instance=instance,
        tags=tags if first != last else {"dagster/partition": first},
        raise_on_error=False,
        resources={"lake": LakeResource(root=str(lake.root)), "pool": PoolResource(workers=1), "programs": Programs()},
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_bvh_file_becomes_a_clip_with_motion_and_captions_but_without_poses(
    lake: Lake, tmp_path: Path, count: int
) -> None:
    files = [tmp_path / f"Run {number}.bvh" for number in range(count)]
    for number, file in enumerate(files):
        write_bvh(moving_person(60, seed=number), file)
    with dg.DagsterInstance.ephemeral() as instance:
        keys = bring_in(lake, *files)
        assert keys[0].startswith("parkour.run-0.")
        assert ingest(lake, keys, instance).success
        made = {
            name: instance.get_materialized_partitions(dg.AssetKey(name)) for name in ("footage", "poses", "motion")
        }
    assert made == {"footage": set(keys), "poses": set(), "motion": set(keys)}
    assert all_problems(lake) == []
    manifest = read_manifest(lake, keys[0])
    assert isinstance(manifest.video, CaptureInfo)
    assert (manifest.video.frames, manifest.video.fps, manifest.label, manifest.participant) == (60, 20, "walk", "ana")
    motion = Motion.read(lake.motion(keys[0]))
    np.testing.assert_allclose(motion.joints, moving_person(60, seed=0).joints, atol=1e-5)
    assert read_captions(lake, keys[0]).texts[0].text


def test_another_language_of_the_owners_words_is_another_version_of_the_footage(lake: Lake, tmp_path: Path) -> None:
    write_bvh(moving_person(30), tmp_path / "Run.bvh")
    keys = bring_in(lake, tmp_path / "Run.bvh")
    source = lake.raw / read_manifest(lake, keys[0]).source
    versions = []
    with dg.DagsterInstance.ephemeral() as instance:
        for language in ("en", "es"):
            write_json(sidecar_of(source), {"label": "walk", "participant": "ana", "language": language})
            assert ingest(lake, keys, instance, [FOOTAGE]).success
            event = instance.get_latest_materialization_event(dg.AssetKey("footage"))
            assert event and event.asset_materialization and event.asset_materialization.tags
            versions.append(event.asset_materialization.tags["dagster/data_version"])
    assert versions[0] != versions[1]


def test_too_short_a_capture_is_left_behind_with_its_reason(lake: Lake, tmp_path: Path) -> None:
    write_bvh(moving_person(10), tmp_path / "short.bvh")
    with dg.DagsterInstance.ephemeral() as instance:
        assert ingest(lake, bring_in(lake, tmp_path / "short.bvh"), instance).success, "it is no fault of the run"
    (problem,) = all_problems(lake)
    assert problem.step == "motion" and "0.50 s, of 0.8 s" in problem.reason


def test_a_folder_is_imported_whole_or_not_at_all(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_bvh(moving_person(20), tmp_path / "in" / "a.bvh")
    (tmp_path / "in" / "b.bvh").write_text("HIERARCHY\n")
    with pytest.raises(ValueError, match=r"b\.bvh: .*ends before MOTION"):
        import_motion(lake, [tmp_path / "in"], "parkour", UNDECLARED)
    assert not lake.raw.exists()


def test_takes_of_one_name_do_not_overwrite_each_other(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    write_npy(moving_person(30, seed=0), folder / "one.npy")
    write_npy(moving_person(30, seed=1), folder / "two.npy")
    write_bvh(moving_person(30, seed=2), folder / "more" / "one.bvh")
    placed, _ = import_motion(lake, [folder], "parkour", UNDECLARED)
    assert len({path for path, _ in placed}) == 3
    again, _ = import_motion(lake, [folder], "parkour", UNDECLARED)
    assert [path for path, _ in again] == [path for path, _ in placed]


def test_a_table_says_what_neither_hand_nor_sidecar_does(lake: Lake, tmp_path: Path) -> None:
    write_bvh(moving_person(30), tmp_path / "a.bvh")
    (tmp_path / "labels.csv").write_text("file,sport,label,participant,take\na.bvh,parkour,vault,Ben,3\n")
    ((placed, _),), unused = import_motion(lake, [tmp_path], None, declared(participant="Ana"))
    manifest = read_manifest(lake, register(lake, placed.relative_to(lake.raw).as_posix()).key or "")
    assert (manifest.sport, manifest.label, manifest.participant, unused) == ("parkour", "vault", "Ana", ["take"])


def test_a_bvh_file_in_the_drop_zone_is_sent_through_the_import(lake: Lake, tmp_path: Path) -> None:
    folder = lake.raw / "parkour"
    folder.mkdir(parents=True)
    write_bvh(moving_person(20), folder / "a.bvh")
    assert "posellm import motion" in (register(lake, "parkour/a.bvh").reason or "")
    (folder / "b.motion.parquet").write_bytes(b"PAR1")
    assert "not a readable parquet file" in (register(lake, "parkour/b.motion.parquet").reason or "")


KEY = "parkour.run.0123abcd"


def test_a_motion_goes_out_as_what_its_name_ends_in(lake: Lake, tmp_path: Path) -> None:
    motion = moving_person(50)
    motion.joints[10:13] = np.nan
    motion.write(lake.motion(KEY))
    assert "1.9 s of 2.5 s (the longest stretch" in export_motion(lake, KEY, tmp_path / "a.bvh", "motion")
    back = motion_from_bvh(tmp_path / "a.bvh", UNDECLARED)
    np.testing.assert_allclose(back.joints, motion.joints[13:], atol=1e-5)
    export_motion(lake, KEY, tmp_path / "a.npy", "motion")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), motion.joints)
    assert json.loads((tmp_path / "a.npy.json").read_text())["fps"] == 20
    for name, magic in (("a.gif", b"GIF89a"), ("a.mp4", b"ftyp")):
        export_motion(lake, KEY, tmp_path / name, "motion")
        assert magic in (tmp_path / name).read_bytes()[:12]


def test_what_cannot_be_exported_is_said(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no motion"):
        export_motion(lake, KEY, tmp_path / "a.bvh", "motion")
    moving_person(10).write(lake.motion(KEY))
    with pytest.raises(FileNotFoundError, match="has no tokens"):
        export_motion(lake, KEY, tmp_path / "a.bvh", "tokens")
    with pytest.raises(ValueError, match=r"written as \.bvh, \.npy, \.mp4, \.gif"):
        export_motion(lake, KEY, tmp_path / "a.fbx", "motion")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("a.")]
