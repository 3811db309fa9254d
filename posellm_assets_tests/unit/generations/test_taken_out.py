"""Footage that was deleted, or refused by its ingest, trains nothing, whatever was made of it before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from posellm_assets.actions.dataset.sources import from_lake as action_clips
from posellm_assets.coaching.model.dataset_sources import from_lake as coaching_clips
from posellm_assets.files import write_json
from posellm_assets.footage.register import register
from posellm_assets.generations.inventory import taken_out, usable_videos
from posellm_assets.generations.snapshots import motions_of, read_snapshot
from posellm_assets.jobs.coaching import feedback_job
from posellm_assets.jobs.motion import tokenizer_job
from posellm_assets.lake import Lake
from posellm_assets.problems import Problem, record_problem
from posellm_assets.settings import Settings
from posellm_assets_tests.unit.actions.clips import freeze, write_square

SAID = [{"t": 0.5, "text": "Push your left knee out."}]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Five registered clips that went through their ingest, in a snapshot; of one no tokens could be made."""
    here = Lake(tmp_path)
    for number in range(5):
        path = write_square(here.raw / "gym" / "squat" / f"{number}.mp4", "up", number)
        write_json(path.with_name(path.name + ".json"), {"participant": "ana", "feedback": SAID})
        key = register(here, f"gym/squat/{number}.mp4").key or ""
        write_json(here.captions(key), {"key": key, "texts": [], "facts": []})
    keys = here.registered_videos()
    freeze(here, "all-0001", keys)
    record_problem(here, Problem(key=keys[4], step="motion_tokens", reason="there is no tokenizer yet"))
    return here


def trained_on(lake: Lake) -> dict[str, set[str]]:
    """The videos that each training would be given, by what is trained."""
    snapshot, job = read_snapshot(lake, "all-0001"), tokenizer_job(lake, Settings())
    keys = motions_of(lake, snapshot)
    _, without_label = coaching_clips(lake, keys)
    return {
        "tokenizer": {path.stem for path in [*job.train, *job.held_out]},
        "actions": {one.key or "" for one in action_clips(lake, keys, "all").examples},
        # None has a label yet: what is left out for that reason is what is used.
        "coaching": {one.what for one in without_label if "no coaching label" in one.reason},
        "feedback": {item.key for item in feedback_job(lake, Settings(), "all-0001").items},
        "next language model": usable_videos(lake),
    }


def deleted(lake: Lake, key: str) -> str:
    number = key.split(".")[1]
    (lake.raw / "gym" / "squat" / f"{number}.mp4").unlink()
    return "its file is no longer in the drop zone"


def refused(lake: Lake, key: str) -> str:
    record_problem(lake, Problem(key=key, step="poses", reason="nobody in view"))
    return "poses: nobody in view"


@pytest.mark.parametrize("take_out", [deleted, refused])
def test_what_was_taken_out_trains_nothing_and_is_named(lake: Lake, take_out: Callable[[Lake, str], str]) -> None:
    keys = lake.registered_videos()
    # Tokens are made with the tokenizer: that they could not be made keeps no clip from it.
    every = {key: set(keys) for key in ("tokenizer", "actions", "coaching", "feedback")}
    assert trained_on(lake) == {**every, "next language model": set(keys[:4])}
    reason = take_out(lake, keys[1])
    left = {name: used - {keys[1]} for name, used in every.items()}
    assert trained_on(lake) == {**left, "next language model": {keys[0], keys[2], keys[3]}}
    assert taken_out(lake, keys) == {keys[1]: reason}
    assert feedback_job(lake, Settings(), "all-0001").left_out == {keys[1]: reason}
    assert [(one.what, one.reason) for one in action_clips(lake, keys, "all").refused] == [(keys[1], reason)]


def test_an_unmounted_drop_zone_starts_no_training(lake: Lake) -> None:
    lake.raw.rename(lake.root / "elsewhere")
    lake.raw.mkdir()
    with pytest.raises(FileNotFoundError, match="is it mounted"):
        tokenizer_job(lake, Settings())
