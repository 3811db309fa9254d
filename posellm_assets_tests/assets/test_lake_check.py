"""Every file of a small lake damaged in turn: what `posellm lake check` says, what it repairs, and what still works."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from posellm_assets.checksums import SUMS, DamagedFile, record
from posellm_assets.cli import app
from posellm_assets.commands.generate import generate_motions
from posellm_assets.commands.status import overview
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.motion import MOTION, MOTION_TOKENS
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import video_assets
from posellm_assets.files import write_json
from posellm_assets.footage.labels import sidecar_of
from posellm_assets.footage.register import register
from posellm_assets.generations.snapshots import build_examples, freeze
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.lake import Lake
from posellm_assets.lake_check import Fault, faults, repair
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.motion import Motion
from posellm_assets.problems import Problem, record_problem
from posellm_assets.settings import load_settings
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.unit.evaluation.world import build_model, build_tokenizer, build_world
from posellm_assets_tests.unit.poses.bodies import poses_of, standing

HISTORY = ("footage", "raw", "releases", "models", "tokenizers")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def unreadable(path: Path) -> None:
    """A folder in its place, which nobody can read as a file: root can read whatever the permissions are."""
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


DAMAGES = (flipped, truncated, emptied, unreadable, gone)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with motion capture of three people and a video with poses, tokens, a snapshot and a released model."""
    lake = Lake(tmp_path_factory.mktemp("whole") / "lake")
    world = build_world(tmp_path_factory.mktemp("world"), train="ab", test="x")
    keys = []
    for key, path in world.motions.items():
        sport, name, _ = key.split(".")
        source = lake.raw / sport / f"{name}.motion.parquet"
        Motion.read(path).write(source)
        write_json(sidecar_of(source), {"label": world.label[key], "participant": f"athlete-{name[-1]}"})
        keys.append(register(lake, f"{sport}/{source.name}").key or "")
    video = register(lake, write_clip(lake.raw / "gym" / "clip.mp4").relative_to(lake.raw).as_posix()).key or ""
    poses_of([standing(8, 600)]).write(lake.poses(video))
    write_json(lake.pose_quality(video), {"passed": True})
    lake.contact_sheet(video).write_bytes(b"\xff\xd8\xff\xe0 a picture")
    record(lake, POSES.files(lake, video))
    tokenizer = build_tokenizer(world)
    lineage = Codebook.read(tokenizer).lineage
    shutil.copytree(tokenizer, lake.tokenizer(lineage))
    write_json(lake.tokenizer(lineage) / "report.json", {"held_out": {"clips": 0, "frames": 0}})
    put_in_use(lake, "tokenizer", lineage)
    assert ingested(lake, keys)
    record_problem(lake, Problem(key=video, step="motion", reason="nobody was seen for long enough"))
    settings = load_settings(lake).model_dump(mode="json")
    snapshot = freeze(lake, keys, lineage, parent=None, settings=settings)
    build_examples(lake, snapshot)
    model = build_model(tmp_path_factory.mktemp("model"), lake.examples(snapshot.snapshot, "train"))
    shutil.copytree(model, lake.finished_model(snapshot.snapshot, snapshot.last_stage))
    released = lake.finished_model(snapshot.snapshot, snapshot.last_stage)
    put_in_use(lake, "language", snapshot.snapshot, folder=released, lineage=lineage)
    return lake


def ingested(lake: Lake, keys: list[str]) -> bool:
    """Whether the assets of videos could all be made."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(videos.name or "", sorted(keys))
        tags = {"dagster/asset_partition_range_start": min(keys), "dagster/asset_partition_range_end": max(keys)}
        assets = [FOOTAGE, POSES, MOTION, MOTION_TOKENS, CAPTIONS]
        return dg.materialize(
            [video_assets("ingest", assets, max_videos_per_run=50)],
            instance=instance,
            tags=tags,
            raise_on_error=False,
            resources={
                "lake": LakeResource(root=str(lake.root)),
                "pool": PoolResource(workers=1),
                "programs": Programs(),
            },
        ).success


@pytest.fixture
def lake(whole: Lake, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(whole.root, tmp_path / "lake"))


def files_of(lake: Lake) -> list[Path]:
    """All files of the lake but locks, by their places."""
    found = sorted(path for path in lake.root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return [path.relative_to(lake.root) for path in found if path.suffix != ".lock"]


def is_record(place: Path) -> bool:
    """Whether a file is itself a record of what others are."""
    return place.parts[0] == "checksums" or place.name == SUMS


def test_nothing_is_wrong_with_a_lake_as_it_was_made(lake: Lake) -> None:
    assert list(faults(lake)) == []
    assert len(files_of(lake)) > 60


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_each_damaged_file_is_named_alone_with_what_to_do_and_the_lake_passes_again(
    lake: Lake, whole: Lake, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    places = [place for place in files_of(lake) if not is_record(place)]
    wrong: list[str] = []
    for place in places:
        path = lake.root / place
        if damage is gone and (place.suffix == ".json" and place.parts[0] in ("raw", "problems")):
            continue  # who takes back a sidecar, or what has succeeded, takes a file away
        before = path.read_bytes()
        damage(path)
        found = list(faults(lake))
        owners_words = damage is flipped and place.parts[0] == "raw" and place.suffix == ".json"
        if {fault.path for fault in found} != {path} and not owners_words:
            wrong.append(f"{place}: {[str(fault) for fault in found]}")
        if place.parts[0] in HISTORY:
            assert repair(lake, found) == []
            assert os.path.lexists(path) or damage is gone
            assert not any("remove it" in str(fault) for fault in found)
        else:
            repair(lake, found)
            wrong += [f"{place}, after the repair: {fault}" for fault in faults(lake)] if _made_again(found) else []
            overview(lake)
        restored(lake, whole, path, before)
    with capsys.disabled():
        print(f"\n{damage.__name__}: {len(places)} files, {len(wrong)} not as they should be", flush=True)
    assert wrong == []


def _made_again(found: list[Fault]) -> bool:
    return all(fault.made_again for fault in found)


def restored(lake: Lake, whole: Lake, path: Path, content: bytes) -> None:
    """Put the lake back as it was."""
    if lake.damaged.exists():
        shutil.rmtree(lake.root)
        shutil.copytree(whole.root, lake.root)
        return
    if path.is_dir():
        path.rmdir()
    path.write_bytes(content)


def test_what_was_repaired_is_made_again_by_the_next_ingest(lake: Lake) -> None:
    lineage = lineage_in_use(lake) or ""
    key = lake.tokenised_videos(lineage)[0]
    before = lake.captions(key).read_bytes()
    for path in (lake.motion(key), lake.motion_tokens(lineage, key)):
        flipped(path)
    found = list(faults(lake))
    assert [fault.path for fault in found] == [lake.motion(key), lake.motion_tokens(lineage, key)]
    repair(lake, found)
    assert key not in lake.captioned_videos(), "nobody would ask for it again"
    assert ingested(lake, [key])
    assert lake.captions(key).read_bytes() == before
    assert list(faults(lake)) == []


def test_a_damaged_model_does_not_generate_and_the_sentence_says_which_file(lake: Lake, tmp_path: Path) -> None:
    out = tmp_path / "x.npy"
    generate_motions(lake, load_settings(lake), "a squat", out, seed=0, duration_s=1.0)
    weights = next(lake.root.glob("models/*/*/final/model.safetensors"))
    flipped(weights)
    with pytest.raises(DamagedFile, match=r"model\.safetensors is damaged .* copy the model's folder back"):
        generate_motions(lake, load_settings(lake), "a squat", out, seed=0, duration_s=1.0)


def test_the_command_names_what_is_wrong_and_ends_with_1_until_it_is_repaired(lake: Lake) -> None:
    key = lake.captioned_videos()[0]
    flipped(lake.motion(key))
    run = CliRunner().invoke(app, ["lake", "check", "--lake", str(lake.root), "--json"])
    assert run.exit_code == 1
    assert str(lake.motion(key)) in run.output
    assert CliRunner().invoke(app, ["lake", "check", "--lake", str(lake.root), "--repair"]).exit_code == 0
    run = CliRunner().invoke(app, ["lake", "check", "--lake", str(lake.root)])
    assert run.exit_code == 0
    assert "every file is what it was" in run.output
