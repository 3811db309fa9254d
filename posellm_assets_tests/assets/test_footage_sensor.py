"""The sensor on real files and a real instance; its requests are carried out as the daemon does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from posellm_assets.commands.status import overview
from posellm_assets.defs import footage_sensor
from posellm_assets.defs.footage import FOOTAGE, QUARANTINE
from posellm_assets.defs.footage_sensor import new_footage_sensor
from posellm_assets.defs.partitions import RANGE_END, RANGE_START, videos
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.runs import LAUNCHED
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import video_assets
from posellm_assets.files import sha256_of
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets.texts.captions import Captions, write_captions
from posellm_assets_tests.clips import write_clip

NAME = videos.name or ""


class House:
    """A lake and a Dagster instance, and the part of the daemon that looks after the sensor."""

    def __init__(self, root: Path, instance: dg.DagsterInstance):
        self.lake, self.instance, self.cursor = Lake(root), instance, None
        self.queued: dict[str, str] = {}
        self.resource = LakeResource(root=str(root), settings={"footage": {"settle_s": 0}})
        self.defs = dg.Definitions(
            assets=[video_assets("ingest_videos", [FOOTAGE], max_videos_per_run=200), QUARANTINE],
            jobs=[dg.define_asset_job("ingest_footage", selection=dg.AssetSelection.assets("footage"))],
            sensors=[new_footage_sensor],
            resources={"lake": self.resource, "pool": PoolResource(), "programs": Programs()},
        )
        self.job = self.defs.resolve_job_def("ingest_footage")

    def drop(self, path: str, variant: int) -> Path:
        return write_clip(self.lake.raw / path, variant)

    def tick(self):
        """One tick, up to the runs that it asks for."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"lake": self.resource},
            repository_def=self.defs.get_repository_def(),
        )
        data = new_footage_sensor.evaluate_tick(context)
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        assert len(data.dynamic_partitions_requests) <= 1
        for request in data.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(NAME, list(request.partition_keys))
        self.cursor = data.cursor
        for request in data.run_requests:
            assert request.run_key not in self.queued, "Dagster remembers a run key for ever"
            tags = {**request.tags, "dagster/run_key": request.run_key}
            run = self.instance.create_run_for_job(self.job, tags=tags, status=dg.DagsterRunStatus.NOT_STARTED)
            self.queued[request.run_key] = run.run_id
        return data

    def run(self, request: dg.RunRequest, raise_on_error: bool = True):
        """Carry out a queued run; what the later steps leave is written by hand."""
        self.instance.delete_run(self.queued[request.run_key])
        tags = {**request.tags, "dagster/run_key": request.run_key}
        result = self.job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=raise_on_error)
        for event in result.asset_materializations_for_node("ingest_videos"):
            write_captions(self.lake, Captions(key=event.partition or "", texts=[], facts=[]))
            made = dg.AssetMaterialization(CAPTIONS.spec.key, partition=event.partition)
            self.instance.report_runless_asset_event(made)
        return result

    def end(self, request: dg.RunRequest, canceled: bool = False) -> None:
        """End a queued run without success, as where its process was killed, or a person cancelled it."""
        kind = dg.DagsterEventType.RUN_CANCELED if canceled else dg.DagsterEventType.RUN_FAILURE
        event = dg.DagsterEvent(kind.value, "ingest_footage", message="its process is no more")
        self.instance.report_dagster_event(event, self.queued[request.run_key])

    def said(self) -> list[str]:
        return overview(self.lake)["unfinished"]["why"]

    def forget(self, request: dg.RunRequest) -> None:
        """Have it that the daemon died before it made a run of a request."""
        self.instance.delete_run(self.queued.pop(request.run_key))

    def with_runs_of(self, videos: int) -> LakeResource:
        settings = {"footage": {"settle_s": 0}, "automation": {"max_videos_per_run": videos}}
        return LakeResource(root=self.resource.root, settings=settings)

    def partitions(self):
        return list(self.instance.get_dynamic_partitions(NAME))

    def quarantine(self) -> list[dict[str, str]]:
        event = self.instance.get_latest_materialization_event(QUARANTINE.key)
        assert event and event.asset_materialization
        table = event.asset_materialization.metadata["files"].records
        assert event.asset_materialization.metadata["dagster/row_count"].value == len(table)
        return [record.data for record in table]


@pytest.fixture
def house(tmp_path):
    (tmp_path / "lake" / "raw").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "home")) as instance:
        yield House(tmp_path / "lake", instance)


def test_dropped_clips_become_partitions_in_one_request_and_one_run(house):
    for number in range(1, 4):
        house.drop(f"tennis/{number}.mp4", number)
    data = house.tick()
    keys = house.partitions()
    assert [key.rsplit(".", 1)[0] for key in keys] == ["tennis.1", "tennis.2", "tennis.3"]
    assert [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in data.run_requests] == [
        (keys[0], keys[2])
    ]
    result = house.run(data.run_requests[0])
    made = {event.partition for event in result.asset_materializations_for_node("ingest_videos")}
    assert made == set(keys)
    again = house.tick()
    assert not again.run_requests and not again.dynamic_partitions_requests
    assert again.skip_message == "nothing new: 3 files known, 0 settling or waiting their turn, 0 in quarantine"


def test_keys_added_in_one_request_are_neighbours_whatever_is_there_already(house):
    house.instance.add_dynamic_partitions(NAME, ["zumba.z.00000000", "aerobics.a.00000000", "tennis.m.00000000"])
    for number, path in enumerate(("yoga/z.mp4", "archery/a.mp4", "tennis/n.mp4"), start=1):
        house.drop(path, number)
    first = house.tick()
    for number, path in enumerate(("boxing/b.mp4", "archery/b.mp4"), start=4):
        house.drop(path, number)
    second = house.tick()
    order = house.partitions()
    assert order[:3] == ["zumba.z.00000000", "aerobics.a.00000000", "tennis.m.00000000"]
    for data, expected in ((first, order[3:6]), (second, order[6:8])):
        (request,) = data.run_requests
        key_range = dg.PartitionKeyRange(request.tags[RANGE_START], request.tags[RANGE_END])
        with dg.partition_loading_context(dynamic_partitions_store=house.instance):
            assert list(videos.get_partition_keys_in_range(key_range)) == expected
        result = house.run(request)
        assert {event.partition for event in result.asset_materializations_for_node("ingest_videos")} == set(expected)


def test_many_clips_become_runs_of_a_bounded_size(house):
    house.resource = house.with_runs_of(2)
    for number in range(1, 6):
        house.drop(f"tennis/{number}.mp4", number)
    data = house.tick()
    keys = house.partitions()
    ranges = [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in data.run_requests]
    assert ranges == [(keys[0], keys[1]), (keys[2], keys[3]), (keys[4], keys[4])]
    assert len({request.run_key for request in data.run_requests}) == 3


def test_what_cannot_be_read_is_shown_as_a_table_and_stops_nothing(house):
    house.drop("tennis/good.mp4", 1)
    (house.lake.raw / "tennis" / "it's | broken.mp4").write_text("not a video")
    (house.lake.raw / "tennis" / "link.mp4").symlink_to("good.mp4")
    data = house.tick()
    assert len(data.run_requests) == 1 and len(house.partitions()) == 1
    rows = {row["file"]: row["reason"] for row in house.quarantine()}
    assert set(rows) == {"tennis/it's | broken.mp4", "tennis/link.mp4"}
    assert rows["tennis/link.mp4"].startswith("it is a link")
    house.run(data.run_requests[0])
    quiet = house.tick()
    assert not quiet.asset_events and quiet.skip_message.endswith("2 in quarantine")
    (house.lake.raw / "tennis" / "it's | broken.mp4").unlink()
    (house.lake.raw / "tennis" / "link.mp4").unlink()
    house.tick()
    assert house.quarantine() == []


def test_a_tick_that_died_before_dagster_heard_of_it_is_made_up_for(house):
    house.drop("tennis/a.mp4", 1)
    key = register(house.lake, "tennis/a.mp4").key
    data = house.tick()
    assert house.partitions() == [key] and len(data.run_requests) == 1


def test_a_tick_that_died_between_partitions_and_runs_is_made_up_for(house):
    for number in range(1, 4):
        house.drop(f"tennis/{number}.mp4", number)
    house.forget(*house.tick().run_requests)
    house.instance.add_dynamic_partitions(NAME, ["golf.other.00000000"])
    house.drop("tennis/4.mp4", 4)
    house.cursor = None
    second = house.tick()
    keys = house.partitions()
    ranges = [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in second.run_requests]
    assert ranges == [(keys[0], keys[2]), (keys[4], keys[4])]


def test_what_a_run_left_is_asked_for_again_until_it_is_done(house):
    for number in range(1, 4):
        house.drop(f"tennis/{number}.mp4", number)
    (first,) = house.tick().run_requests
    keys = house.partitions()
    assert not house.tick().run_requests, "a run that works or waits is enough"
    assert house.said() == ["3 are in a run that works or waits for its turn"]
    write_captions(house.lake, Captions(key=keys[1], texts=[], facts=[]))
    house.end(first)
    again = house.tick().run_requests
    assert [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in again] == [
        (keys[0], keys[0]),
        (keys[2], keys[2]),
    ]
    (said,) = house.said()
    assert said.startswith("2 have just been asked for; the last run that ended badly: its process is no more (run ")
    for request in again:
        house.run(request)
    assert not house.tick().run_requests
    assert house.said() == []


def test_runs_that_fail_again_and_again_wait_longer_and_become_smaller(house, monkeypatch):
    for number in range(1, 10):
        house.drop(f"tennis/{number}.mp4", number)
    house.resource = house.with_runs_of(8)
    sizes, began_s = [], time.time()
    for waited_s in (1_000, 1_001, 2_000, 9_000):
        monkeypatch.setattr(time, "time", lambda waited_s=waited_s: began_s + waited_s)
        requests = house.tick().run_requests
        sizes.append(len(requests))
        for request in requests:
            house.end(request)
        monkeypatch.undo()
    assert sizes == [2, 2, 9, 9], "from the second failure on each is alone"
    assert not house.tick().run_requests
    (said,) = house.said()
    assert said.startswith("9 are tried again later, the first at "), said
    assert "; the last run that ended badly: its process is no more (run " in said


def test_a_run_that_a_person_cancelled_is_left_to_that_person(house):
    house.drop("tennis/a.mp4", 1)
    house.end(*house.tick().run_requests, canceled=True)
    assert not house.tick().run_requests
    assert house.said() == ["1 wait for a person, who cancelled their run; launch ingest_footage for them"]


def test_a_deleted_partition_comes_back_and_what_is_ready_is_not_done_again(house):
    house.drop("tennis/a.mp4", 1)
    house.run(house.tick().run_requests[0])
    house.drop("tennis/b.mp4", 2)
    before = house.tick().run_requests
    keys = house.partitions()
    for request in before:
        house.forget(request)
    for key in keys:
        house.instance.delete_dynamic_partition(NAME, key)
    (request,) = house.tick().run_requests
    assert set(house.partitions()) == set(keys)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (keys[1], keys[1])


def test_where_nothing_changed_nothing_is_compared_for_a_while(house, monkeypatch):
    house.drop("tennis/a.mp4", 0)
    (request,) = house.tick().run_requests
    house.run(request)
    long_ago = time.time() - 1000
    for folder in [house.lake.root, *(path for path in house.lake.root.rglob("*") if path.is_dir())]:
        os.utime(folder, (long_ago, long_ago))
    assert not house.tick().run_requests
    (key,) = house.instance.get_dynamic_partitions(NAME)
    house.instance.delete_dynamic_partition(NAME, key)
    assert house.tick().dynamic_partitions_requests == [], "an idle tick compares nothing"
    monkeypatch.setattr(footage_sensor.time, "time", lambda now=time.time: now() + footage_sensor.NOTHING_OWED_S)
    (again,) = house.tick().dynamic_partitions_requests
    assert list(again.partition_keys) == [key]


def test_a_new_dagster_home_knows_all_videos_and_asks_only_for_what_is_not_ready(house, tmp_path):
    house.drop("tennis/a.mp4", 1)
    house.run(house.tick().run_requests[0])
    house.drop("tennis/b.mp4", 2)
    house.tick()
    keys = house.partitions()
    (tmp_path / "second").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "second")) as instance:
        new = House(tmp_path / "lake", instance)
        (request,) = new.tick().run_requests
        assert set(new.partitions()) == set(keys)
        assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (keys[1], keys[1])


def test_what_was_made_while_the_log_was_away_is_logged_by_a_later_tick_once(house):
    for number in (1, 2):
        house.drop(f"tennis/{number}.mp4", number)
    (request,) = house.tick().run_requests
    for key in house.partitions():
        write_captions(house.lake, Captions(key=key, texts=[], facts=[]))
    assert house.tick().asset_events == [], "the run is at work and logs them itself"
    house.end(request)
    assert len(house.tick().asset_events) == 4
    for asset in (FOOTAGE, CAPTIONS):
        assert house.instance.get_materialized_partitions(asset.spec.key) == set(house.partitions())
    event = house.instance.get_latest_materialization_event(CAPTIONS.spec.key).asset_materialization
    assert event.tags["dagster/data_version"] == sha256_of(house.lake.captions(event.partition))
    house.cursor = None
    assert house.tick().asset_events == []


def test_a_run_whose_process_is_no_more_is_ended_by_the_next_tick(house):
    house.drop("tennis/a.mp4", 1)
    (request,) = house.tick().run_requests
    run = house.instance.get_run_by_id(house.queued[request.run_key])
    house.instance.add_run_tags(run.run_id, {LAUNCHED: "{}"})
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    house.instance.report_engine_event("Started process", run, EngineEventData.in_process(process.pid))
    house.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "ingest_footage"), run.run_id)
    assert not house.tick().run_requests
    process.kill()
    process.wait()
    (again,) = house.tick().run_requests
    assert again.run_key != request.run_key
    assert house.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    later = house.instance.get_run_by_id(house.queued[again.run_key])
    house.instance.add_run_tags(later.run_id, {LAUNCHED: "{}"})
    house.instance.report_engine_event("Started process", later, EngineEventData.in_process(os.getpid()))
    house.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "ingest_footage"), later.run_id)
    assert not house.tick().run_requests
    assert house.instance.get_run_by_id(later.run_id).status == dg.DagsterRunStatus.STARTED


def test_what_somebody_else_has_taken_in_is_not_run_again(house):
    house.drop("tennis/a.mp4", 1)
    house.run(house.tick().run_requests[0])
    house.cursor = None
    data = house.tick()
    assert not data.run_requests and len(house.partitions()) == 1


def test_footage_whose_run_failed_can_run_again(house):
    path = house.drop("tennis/a.mp4", 1)
    content = path.read_bytes()
    first = house.tick().run_requests[0]
    path.unlink()
    assert not house.run(first, raise_on_error=False).success
    path.write_bytes(content)
    second = house.tick().run_requests[0]
    assert second.run_key != first.run_key and second.run_key.rsplit("-", 1)[0] == first.run_key.rsplit("-", 1)[0]
    assert house.run(second).success


def test_a_lake_that_does_not_exist_yet_is_explained(house):
    house.lake.raw.rmdir()
    data = house.tick()
    assert data.skip_message.startswith("there is no drop zone yet; make ")


def test_footage_shows_what_is_known_about_a_video(house):
    path = house.drop("tennis/serve/a.mp4", 1)
    path.with_name("a.mp4.json").write_text('{"participant": "Ana"}')
    result = house.run(house.tick().run_requests[0])
    (materialization,) = result.asset_materializations_for_node("ingest_videos")
    shown = {name: value.value for name, value in materialization.metadata.items()}
    assert (shown["sport"], shown["label"], shown["participant"], shown["frames"]) == ("tennis", "serve", "Ana", 6)
    assert shown["split"] in ("train", "val", "test") and shown["picture"].startswith("64 x 48")


def test_a_video_whose_file_is_gone_fails_by_name_and_the_others_are_made(house):
    gone = house.drop("tennis/gone.mp4", 1)
    house.drop("tennis/there.mp4", 2)
    request = house.tick().run_requests[0]
    gone.unlink()
    result = house.run(request, raise_on_error=False)
    assert not result.success
    made = house.instance.get_materialized_partitions(FOOTAGE.spec.key)
    assert [key.split(".")[1] for key in made] == ["there"]
    assert "raw/tennis/gone.mp4 is gone" in str(result.failure_data_for_node("ingest_videos").user_failure_data)
