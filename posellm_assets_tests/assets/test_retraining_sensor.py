"""The retraining sensor on a real lake and a real Dagster instance. Its runs are not carried out, only ended."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason

from posellm_assets.commands.status import overview
from posellm_assets.definitions import build_defs
from posellm_assets.defs.language import stage_dataset
from posellm_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START, snapshots
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.retraining_sensor import retraining_sensor
from posellm_assets.defs.runs import DEATHS, LOCK, locked
from posellm_assets.files import write_bytes
from posellm_assets.footage.register import register
from posellm_assets.generations.snapshots import Snapshot, freeze, read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.texts.captions import Captions, CaptionText, write_captions
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import write_held_out, write_tokens

SETTINGS = {"automation": {"rules": {"all": {"min_new_videos": 4}}}}
ENDS = {
    dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.RUN_CANCELED,
}


class House:
    """A lake with ingested footage, an instance, and what the daemon does with a tick."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition):
        self.lake, self.instance, self.cursor = Lake(root), instance, None
        self.resource = LakeResource(root=str(root), settings=SETTINGS)
        self.repository = repository
        put_in_use(self.lake, "tokenizer", "vq-1")
        write_held_out(self.lake, "vq-1")

    def take_in(self, *numbers: int) -> list[str]:
        """Footage that has gone through every step up to its tokens."""
        keys = []
        for number in numbers:
            write_clip(self.lake.raw / "yoga" / f"{number}.mp4", number)
            key = register(self.lake, f"yoga/{number}.mp4").key or ""
            texts = [CaptionText(text="bend", kind="label", language="en")]
            write_captions(self.lake, Captions(key=key, texts=texts, facts=[]))
            write_bytes(self.lake.motion(key), key.encode())
            write_tokens(self.lake, "vq-1", key)
            keys.append(key)
        return keys

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources={"lake": self.resource}, repository_def=self.repository
        )
        data = retraining_sensor.evaluate_tick(context)
        for request in data.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor = data.cursor or self.cursor
        return data

    def freeze(self, request: dg.RunRequest) -> Snapshot:
        """What the run of a generation begins with."""
        key, resources = request.tags[PARTITION], {"lake": self.resource}
        assert dg.materialize([stage_dataset], partition_key=key, instance=self.instance, resources=resources).success
        return read_snapshot(self.lake, key)

    def ingesting(self, first: str, last: str) -> dg.DagsterRun:
        """A run that is ingesting a range of videos."""
        return self.instance.create_run_for_job(
            self.repository.get_job("ingest_footage"),
            tags={RANGE_START: first, RANGE_END: last},
            status=dg.DagsterRunStatus.STARTED,
        )

    def run(self, snapshot: str, status: dg.DagsterRunStatus, died: bool = False, **tags: str) -> dg.DagsterRun:
        """A run of a generation that has come to `status`; where it `died`, no step of it failed."""
        run = self.instance.create_run_for_job(
            self.repository.get_job("train_generation"),
            tags={PARTITION: snapshot, **tags},
            status=status if status not in ENDS else dg.DagsterRunStatus.STARTED,
        )
        if status in ENDS:
            failed = JobFailureData(error=None, failure_reason=RunFailureReason.STEP_FAILURE)
            of_failure = failed if status == dg.DagsterRunStatus.FAILURE and not died else None
            event = dg.DagsterEvent(
                ENDS[status].value, "train_generation", message="ended", event_specific_data=of_failure
            )
            self.instance.report_dagster_event(event, run.run_id)
        return run

    def settle(self) -> None:
        """Make everything in the lake look as if it had been there for a while."""
        before = time.time() - 60
        for folder, _, _ in os.walk(str(self.lake.root)):
            os.utime(folder, (before, before))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dg.RepositoryDefinition:
    return build_defs(lake=LakeResource(root=str(tmp_path_factory.mktemp("no") / "lake"))).get_repository_def()


@pytest.fixture
def house(tmp_path: Path, repository: dg.RepositoryDefinition) -> Iterator[House]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield House(tmp_path / "lake", instance, repository)


def test_enough_footage_is_frozen_and_one_run_asked_for(house: House) -> None:
    keys = house.take_in(1, 2, 3, 4)
    (request,) = house.tick().run_requests
    assert (request.job_name, request.run_key, request.tags[PARTITION]) == (
        "train_generation",
        "all-0001-1",
        "all-0001",
    )
    frozen = house.freeze(request)
    assert [video.key for video in frozen.videos] == sorted(keys)
    assert frozen.reason == "all: 4 new videos"
    house.run("all-0001", dg.DagsterRunStatus.STARTED)
    house.take_in(5, 6, 7, 8)
    assert "all: a generation is in training" in str(house.tick().skip_message)


def test_a_sport_that_the_codes_do_not_express_is_named_before_it_is_trained_on_and_after(house: House) -> None:
    house.take_in(1, 2, 3, 4)
    write_held_out(house.lake, "vq-1", 0.5)
    house.freeze(*house.tick().run_requests)
    told = "all: 4 new videos; the tokenizer's codes do not express yoga: a median of 1 mm of error on 4 videos"
    assert read_snapshot(house.lake, "all-0001").reason.startswith(told)
    assert [drift["sport"] for drift in overview(house.lake)["drift"]] == ["yoga"]


def test_a_tick_that_died_after_freezing_leaves_a_snapshot_that_the_next_one_takes_up(house: House) -> None:
    freeze(house.lake, house.take_in(1, 2, 3, 4), "vq-1", parent=None, settings={})
    (request,) = house.tick().run_requests
    assert (request.tags[PARTITION], request.run_key) == ("all-0001", "all-0001-1")
    assert house.instance.get_dynamic_partitions(snapshots.name or "") == ["all-0001"]
    assert snapshot_keys(house.lake) == ["all-0001"], "no other snapshot of the same footage"


def test_a_failed_generation_runs_once_more_and_is_then_named_for_a_person(house: House) -> None:
    house.take_in(1, 2, 3, 4)
    house.tick()
    house.run("all-0001", dg.DagsterRunStatus.FAILURE)
    (request,) = house.tick().run_requests
    assert (request.tags[PARTITION], request.run_key) == ("all-0001", "all-0001-2")
    second = house.run("all-0001", dg.DagsterRunStatus.FAILURE)
    tick = house.tick()
    assert not tick.run_requests
    assert "all-0001 failed and is left for a person" in str(tick.skip_message)
    assert second.run_id in overview(house.lake)["left"]["all-0001"]
    house.run("all-0001", dg.DagsterRunStatus.SUCCESS)
    house.tick()
    assert overview(house.lake)["left"] == {}, "a person has started it again and it went through"


def test_a_generation_that_a_person_stopped_is_not_started_again(house: House) -> None:
    house.take_in(1, 2, 3, 4)
    house.tick()
    house.run("all-0001", dg.DagsterRunStatus.CANCELED)
    assert not house.tick().run_requests


def test_a_run_whose_process_was_killed_blocks_nothing(house: House, tmp_path: Path) -> None:
    house.take_in(1, 2, 3, 4)
    house.tick()
    lock = tmp_path / "lock"
    run = house.run("all-0001", dg.DagsterRunStatus.STARTED, **{LOCK: str(lock)})
    with locked(lock):
        assert house.tick().skip_message == "all: a generation is in training"
    (request,) = house.tick().run_requests
    assert request.run_key == "all-0001-2"
    ended = house.instance.get_run_by_id(run.run_id)
    assert ended and ended.status == dg.DagsterRunStatus.FAILURE


def test_a_generation_whose_machine_gives_out_again_and_again_is_not_given_up(house: House) -> None:
    house.take_in(1, 2, 3, 4)
    for attempt in range(1, 2 * DEATHS + 1):
        (request,) = house.tick().run_requests
        assert request.run_key == f"all-0001-{attempt}"
        house.run("all-0001", dg.DagsterRunStatus.FAILURE, died=True)
    assert "left for a person" in str(house.tick().skip_message), "what kills its own process is, in the end"


def test_footage_that_comes_in_steadily_starves_no_training(house: House) -> None:
    keys = house.take_in(1, 2, 3, 4, 5)
    house.instance.add_dynamic_partitions("videos", keys)
    house.ingesting(keys[4], keys[4])
    (request,) = house.tick().run_requests
    assert request.job_name == "train_generation"
    house.ingesting(keys[0], keys[3])
    assert "0 new videos" in str(house.tick().skip_message), "what a run has in hand counts when it has ended"


def test_a_deleted_partition_and_a_new_dagster_home_stop_no_training(house: House) -> None:
    keys = house.take_in(1, 2, 3, 4)
    house.lake.motion_tokens("vq-1", keys[1]).unlink()
    assert house.instance.get_dynamic_partitions("videos") == []
    (request,) = house.tick().run_requests
    assert (request.job_name, request.tags[RANGE_START]) == ("tokenise_motion", keys[1])
    assert house.instance.get_dynamic_partitions("videos") == [keys[1]]


def test_a_tick_reads_no_more_of_a_generation_than_names(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.take_in(1, 2, 3, 4)
    monkeypatch.setattr("posellm_assets.generations.snapshots.sha256_of", lambda _: pytest.fail("a tick froze"))
    assert house.tick().run_requests
    assert snapshot_keys(house.lake) == []


def test_an_idle_tick_lists_nothing_until_something_changes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.take_in(1, 2, 3)
    house.settle()
    assert "3 new videos" in str(house.tick().skip_message)
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "captioned_videos", lambda self: pytest.fail("an idle tick listed the captions"))
        assert "3 new videos" in str(house.tick().skip_message)
    house.take_in(4)
    assert house.tick().run_requests


def test_a_file_that_was_put_back_is_noticed_though_nothing_else_changes(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.take_in(1, 2, 3, 4)
    clip = house.lake.raw / "yoga" / "4.mp4"
    clip.rename(tmp_path / "away.mp4")
    house.settle()
    assert "3 new videos" in str(house.tick().skip_message)
    (tmp_path / "away.mp4").rename(clip)
    later_s = time.time() + 3_600
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert house.tick().run_requests


def test_footage_that_is_gone_is_left_out_of_the_next_snapshot_and_stays_in_the_last(house: House) -> None:
    keys = house.take_in(1, 2, 3, 4)
    house.freeze(*house.tick().run_requests)
    house.run("all-0001", dg.DagsterRunStatus.SUCCESS)
    (house.lake.raw / "yoga" / "2.mp4").unlink()
    new = house.take_in(5, 6, 7, 8)
    frozen = house.freeze(*house.tick().run_requests)
    assert {video.key for video in frozen.videos} == {*keys, *new} - {keys[1]}
    assert {video.key for video in read_snapshot(house.lake, "all-0001").videos} == set(keys)


def test_nothing_is_begun_where_the_drop_zone_is_empty_or_missing(house: House) -> None:
    house.take_in(1, 2, 3, 4)
    raw = house.lake.raw
    shutil.move(raw, raw.with_name("elsewhere"))
    assert "no generation is begun: [Errno 2]" in str(house.tick().skip_message)
    raw.mkdir()
    assert "is it mounted?" in str(house.tick().skip_message)
    assert snapshot_keys(house.lake) == []


def test_tokens_that_failed_twice_are_left_for_a_person(house: House) -> None:
    (key, *_) = house.take_in(1, 2, 3, 4)
    house.instance.add_dynamic_partitions("videos", [key])
    house.lake.motion_tokens("vq-1", key).unlink()
    keys_asked = []
    for _ in range(2):
        (request,) = house.tick().run_requests
        keys_asked.append(request.run_key)
        run = house.instance.create_run_for_job(house.repository.get_job("tokenise_motion"), tags=request.tags)
        house.instance.report_run_failed(
            run, job_failure_data=JobFailureData(error=None, failure_reason=RunFailureReason.STEP_FAILURE)
        )
    assert len(set(keys_asked)) == 2, "Dagster remembers a run key for ever"
    assert "left for a person" in str(house.tick().skip_message)
