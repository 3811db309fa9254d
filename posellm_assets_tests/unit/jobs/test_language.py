"""What a stage of a generation is given: its parent, what is new to it, and how long it trains."""

from pathlib import Path

import pytest

from posellm_assets.files import write_json
from posellm_assets.generations.snapshots import Snapshot, SnapshotVideo
from posellm_assets.jobs.language import stage_job
from posellm_assets.lake import Lake
from posellm_assets.language.config import GenerationConfig, StageConfig
from posellm_assets.settings import LanguageConfig, Settings
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import write_codebook

SETTINGS = Settings(
    language=LanguageConfig(
        stages=(
            StageConfig(name="stage1", tasks={"motion": 1.0}, steps=120, passes=0.4),
            StageConfig(name="stage2", tasks={"t2m": 0.5, "m2t": 0.5}, steps=300),
            StageConfig(name="stage3", tasks={"t2m": 0.5, "m2t": 0.5}, steps=200),
        ),
        generation=GenerationConfig(replay=0.5, replay_weights={"gym": 2.0}),
    )
)


def freeze(lake: Lake, key: str, parent: str | None, videos: int) -> None:
    frozen = Snapshot(
        snapshot=key, scope="all", created_at="", lineage="vq-1", parent=parent, settings={}, code_version="",
        videos=[
            SnapshotVideo(
                key=f"gym.clip.{number:08x}", sport="gym", label=None, participant=None,
                split="test" if number % 5 == 4 else "train", captions_sha256="", motion_sha256="", tokens_sha256="",
            )
            for number in range(videos)
        ],
    )  # fmt: skip
    write_json(lake.snapshot(key), frozen.model_dump())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    here = Lake(tmp_path)
    write_codebook(here, "vq-1", codes=64)
    freeze(here, "all-0001", None, 45)
    freeze(here, "all-0002", "all-0001", 50)
    freeze(here, "all-0003", "all-0002", 50)
    for key in ("all-0001", "all-0002"):
        put_in_use(here, "language", key)
    return here


def test_the_first_generation_starts_from_the_base_on_all_clips(lake: Lake) -> None:
    job = stage_job(lake, SETTINGS, "all-0001", "stage1")
    assert (job.parent, job.replay, job.stage) == (None, None, SETTINGS.language.stages[0])


def test_a_later_one_goes_on_from_its_parent_on_what_is_new_for_as_long_as_that_takes(lake: Lake) -> None:
    job = stage_job(lake, SETTINGS, "all-0002", "stage1")
    assert job.parent == lake.finished_model("all-0001", "stage3")
    assert job.replay and job.replay.new == [f"gym.clip.{number:08x}" for number in (45, 46, 47, 48)]
    assert (job.replay.share, job.replay.weights) == (0.5, {"gym": 2.0})
    # 4 new clips and 4 old ones in an epoch, of 40 in all, 0.4 times as often.
    assert job.stage.steps == round(SETTINGS.language.stages[0].steps * 0.4 * 8 / 40 + 0.5)
    later = stage_job(lake, SETTINGS, "all-0002", "stage2")
    assert (later.parent, later.replay) == (lake.finished_model("all-0002", "stage1"), job.replay)


def test_a_snapshot_that_brings_nothing_new_trains_on_everything_once_more(lake: Lake) -> None:
    job = stage_job(lake, SETTINGS, "all-0003", "stage1")
    assert (job.replay, job.stage) == (None, SETTINGS.language.stages[0])
    assert job.parent == lake.finished_model("all-0002", "stage3")
