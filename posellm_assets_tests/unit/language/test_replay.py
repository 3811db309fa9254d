import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from posellm_assets.generations.snapshots import Snapshot, SnapshotVideo
from posellm_assets.language.clips import read_clips
from posellm_assets.language.config import GenerationConfig, Replay
from posellm_assets.language.replay import ClipSource, new_videos, quotas, replayed, shortened
from posellm_assets.language.train import train
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.language import samples

HF = Backend("hf", "asked for")


def clips(**of_sport: int) -> list:
    return [
        samples.clip([1, 2, 3], key=f"{sport}.clip-{number}.{number:08x}")
        for sport, count in of_sport.items()
        for number in range(count)
    ]


def video(key: str, split: str = "train", captions: str = "a", tokens: str = "b") -> SnapshotVideo:
    return SnapshotVideo(
        key=key, sport="gym", label=None, participant=None, split=split, captions_sha256=captions,
        motion_sha256="", tokens_sha256=tokens,
    )  # fmt: skip


def snapshot(*videos: SnapshotVideo) -> Snapshot:
    return Snapshot(
        snapshot="all-0001", scope="all", created_at="", lineage="l", parent=None, videos=list(videos), settings={},
        code_version="",
    )  # fmt: skip


def test_an_epoch_holds_every_new_clip_and_the_share_of_old_ones() -> None:
    known = clips(gym=30, tennis=10, golf=8)
    new = [clip.key for clip in known if clip.key.startswith("golf")]
    source = ClipSource(known, Replay(new=new, share=0.5))
    drawn = source.draw(random.Random(1))
    assert len(drawn) == 16 and len({clip.key for clip in drawn}) == 16
    assert {clip.key for clip in drawn} >= set(new)
    assert source.per_epoch == {"gym": 4, "tennis": 4}
    assert [clip.key for clip in source.draw(random.Random(1))] == [clip.key for clip in drawn]
    later = {clip.key for seed in range(60) for clip in source.draw(random.Random(seed))}
    assert later == {clip.key for clip in known}, "in time every old clip comes back"


def test_without_replay_every_clip_is_drawn_and_with_a_share_of_0_only_new_ones() -> None:
    known = clips(gym=3, golf=2)
    assert ClipSource(known, None).draw(random.Random(0)) == known
    assert ClipSource(known, Replay(new=[known[4].key], share=0)).draw(random.Random(0)) == known[4:]


def test_sports_share_the_replay_by_weight_and_what_one_lacks_falls_to_the_others() -> None:
    assert quotas({"a": 100, "b": 100, "c": 2}, {}, 20) == {"a": 9, "b": 9, "c": 2}
    assert quotas({"a": 100, "b": 100}, {"a": 3}, 20) == {"a": 15, "b": 5}
    assert quotas({"a": 100, "b": 100}, {"b": 0}, 20) == {"a": 20, "b": 0}
    assert quotas({"a": 3, "b": 4}, {}, 50) == {"a": 3, "b": 4}
    assert quotas({"a": 10, "b": 10, "c": 10}, {}, 10) == {"a": 4, "b": 3, "c": 3}
    assert quotas({}, {}, 0) == {}


@pytest.mark.parametrize(("new", "old", "steps"), [(50, 50, 50), (1, 99, 1), (100, 0, 50), (10, 90, 10)])
def test_what_a_generation_costs_follows_what_is_new_in_it(new: int, old: int, steps: int) -> None:
    stage = samples.stage(steps=100, passes=0.5, learning_rate=1e-3)
    generation = GenerationConfig(replay=0.5, learning_rate=0.5)
    assert shortened(stage, generation, new, old) == stage.model_copy(update={"steps": steps, "learning_rate": 5e-4})


def test_no_more_is_replayed_than_there_is() -> None:
    assert (replayed(10, 4, 0.5), replayed(10, 99, 0.75), replayed(10, 99, 0.0)) == (4, 30, 0)


def test_a_video_is_new_where_the_parent_did_not_train_on_it_as_it_is_now() -> None:
    parent = snapshot(video("gym.a.00000001"), video("gym.b.00000002"), video("gym.t.00000003", "test"))
    now = snapshot(
        video("gym.a.00000001"),
        video("gym.b.00000002", captions="corrected"),
        video("gym.c.00000004"),
        video("gym.t.00000003", "test"),
        video("gym.u.00000005", "test"),
    )
    assert new_videos(now, parent) == ["gym.b.00000002", "gym.c.00000004"]


def test_on_new_clips_alone_a_model_forgets_and_with_replay_it_does_not(tmp_path: Path) -> None:
    """A parent that knows squats goes on with serves."""
    everything = samples.examples(tmp_path / "train.parquet")
    squats = tmp_path / "squats.parquet"
    pq.write_table(pq.read_table(everything, filters=[("label", "=", "squat")]), squats)
    serves = sorted({clip.key for clip in read_clips(everything, samples.CODEBOOK_SIZE) if clip.label == "serve"})
    changes = {"steps": 60, "learning_rate": 5e-3, "tasks": {"m2t": 1.0}}
    parent = samples.job(tmp_path, "parent", changes, train=squats, val=squats)
    before = train(parent, HF, lambda message: None)["val"]["m2t"]["loss"]
    after = {}
    for share in (0.0, 0.5):
        replay = Replay(new=serves, share=share)
        job = samples.job(tmp_path, f"{share}", changes, parent=parent.out / "final", val=squats, replay=replay)
        result = train(job, HF, lambda message: None)
        after[share] = result["val"]["m2t"]["loss"]
        assert (result["new_clips"], result["replayed_per_epoch"]) == (4, {"gym": 4 if share else 0})
        assert result["identity"]["replay"] == replay.model_dump()
    assert after[0.0] > 2 * before
    assert after[0.5] < 1.2 * before
