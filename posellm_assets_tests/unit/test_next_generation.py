"""What a generation goes on from: the released model, if it is what the settings ask for, under whatever name."""

from pathlib import Path
from typing import Any

import pytest

from posellm_assets.files import write_bytes
from posellm_assets.footage.manifest import FootageManifest, read_manifest, write_manifest
from posellm_assets.footage.registry import Outcome, registry_of
from posellm_assets.footage.video import VideoInfo
from posellm_assets.generations.retraining import Wait
from posellm_assets.generations.snapshots import Snapshot, SnapshotError, next_snapshot
from posellm_assets.jobs.language import stage_job
from posellm_assets.lake import Lake
from posellm_assets.language.config import ModelConfig, StageConfig, TinyConfig
from posellm_assets.language.origin import Origin
from posellm_assets.next_generation import decide, freeze_snapshot
from posellm_assets.problems import all_problems
from posellm_assets.settings import Settings, load_settings
from posellm_assets.texts.captions import Captions, write_captions
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import write_codebook, write_held_out, write_tokens
from posellm_assets_tests.unit.language import samples

KEY = "yoga.bend.0000000a"
INFO = VideoInfo(100, 100, 25.0, 2.0, 50, 0, "h264", "yuv420p", False)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a released model of the built-in base, whose last stage is stage3."""
    lake = Lake(tmp_path / "lake")
    manifest = FootageManifest(
        key=KEY, sport="yoga", label="bend", captions=[], participant="athlete-01", source="yoga/1.mp4",
        sha256=KEY[-8:] * 8, size_bytes=1, video=INFO, registered_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_manifest(lake, manifest)
    registered(lake, KEY, manifest.source)
    write_captions(lake, Captions(key=KEY, texts=[], facts=[]))
    write_bytes(lake.motion(KEY), b"motion")
    write_tokens(lake, "vq-1", KEY)
    put_in_use(lake, "tokenizer", "vq-1")
    write_codebook(lake, "vq-1", codes=8)
    write_held_out(lake, "vq-1")
    first = frozen(lake, load_settings(lake))
    final = lake.finished_model(first.snapshot, "stage3")
    final.mkdir(parents=True)
    Origin.of_base(ModelConfig()).write(final)
    put_in_use(lake, "language", first.snapshot)
    return lake


def registered(lake: Lake, key: str, source: str) -> None:
    write_bytes(lake.raw / source, b"a clip")
    with registry_of(lake).writing() as registry:
        sha256 = key[-8:] * 8
        registry.append(Outcome(path=source, size=6, mtime_ns=1, status="registered", key=key, sha256=sha256))


def frozen(lake: Lake, settings: Settings) -> Snapshot:
    return freeze_snapshot(lake, settings, next_snapshot(lake))


def changed(lake: Lake, **language: Any) -> Settings:
    return load_settings(lake, {"language": language})


def test_a_released_model_is_gone_on_from_as_long_as_its_base_is_the_one_that_is_set(lake: Lake) -> None:
    second = frozen(lake, load_settings(lake))
    assert (second.parent, second.reason) == ("all-0001", "all: 0 new videos")
    assert frozen(lake, changed(lake, model={"method": "lora"})).parent == "all-0001"
    other = frozen(lake, changed(lake, model={"base": "unsloth/Qwen3-1.7B", "method": "lora"}))
    assert other.parent is None
    assert other.reason == (
        "all: 0 new videos; "
        "starts from unsloth/Qwen3-1.7B as set, because all-0001 was made from tiny with 4 layers of 128"
    )
    assert frozen(lake, changed(lake, model={"tiny": {"layers": 6}})).parent is None


def test_a_new_name_of_the_last_stage_does_not_hide_the_released_model(lake: Lake) -> None:
    stages = [{"name": "first", "tasks": {"t2m": 1.0}, "steps": 1}, {"name": "polish", "tasks": {"t2m": 1}, "steps": 1}]
    settings = changed(lake, stages=stages)
    snapshot = frozen(lake, settings)
    assert snapshot.parent == "all-0001"
    job = stage_job(lake, settings, snapshot.snapshot, "first")
    assert job.parent == lake.finished_model("all-0001", "stage3")
    assert stage_job(lake, settings, snapshot.snapshot, "polish").parent == lake.finished_model(
        snapshot.snapshot, "first"
    )


def test_a_model_knows_its_base_and_what_all_its_stages_taught_it(tmp_path: Path) -> None:
    job = samples.job(tmp_path)
    first = Origin.of(job)
    first.write(tmp_path)
    tasks = {"between": 1.0, "t2m": 0.0}
    after = job.model_copy(
        update={
            "parent": tmp_path,
            "model": ModelConfig(base="somebody/else"),
            "stage": StageConfig(name="later", tasks=tasks, steps=1),
        }
    )
    second = Origin.of(after)
    assert (second.base, second.tiny, second.tasks) == ("tiny", samples.SMALL, ("between", "denoise", "m2t", "t2m"))
    assert second.fits(job.model) and not second.fits(after.model) and not second.fits(ModelConfig(tiny=TinyConfig()))


@pytest.mark.parametrize("step", ["footage", "captions", "motion_tokens"])
def test_a_damaged_file_of_one_video_leaves_it_out_and_the_generation_begins(lake: Lake, step: str) -> None:
    other, whole = "yoga.bend.0000000b", read_manifest(lake, KEY)
    write_manifest(lake, whole.model_copy(update={"key": other, "sha256": other[-8:] * 8}))
    write_captions(lake, Captions(key=other, texts=[], facts=[]))
    write_bytes(lake.motion(other), b"motion")
    write_tokens(lake, "vq-1", other)
    places = {
        "footage": lake.footage(other),
        "captions": lake.captions(other),
        "motion_tokens": lake.motion_tokens("vq-1", other),
    }
    registered(lake, other, "yoga/2.mp4")
    write_bytes(places[step], b'{"key": ')
    snapshot = freeze_snapshot(lake, load_settings(lake), next_snapshot(lake))
    assert [video.key for video in snapshot.videos] == [KEY]
    (problem,) = all_problems(lake)
    assert (problem.key, problem.step) == (other, step)
    assert places[step].name in problem.reason


def test_where_the_history_of_releases_is_damaged_nothing_is_begun_and_the_reason_is_told(lake: Lake) -> None:
    write_bytes(lake.releases("tokenizer"), b"{")
    step = decide(lake, load_settings(lake), {})
    assert isinstance(step, Wait)
    assert "no generation is begun" in step.reason
    assert "tokenizer.json is damaged" in step.reason


def test_a_snapshot_is_frozen_only_in_its_turn_and_never_without_footage(lake: Lake) -> None:
    with pytest.raises(SnapshotError, match="all-0003 is not frozen, and the next snapshot is all-0002"):
        freeze_snapshot(lake, load_settings(lake), "all-0003")
    with pytest.raises(SnapshotError, match="none of the 0 videos"):
        freeze_snapshot(lake, load_settings(lake), "tennis-0001")
