"""The store: homes for checkpoints, and what becomes of them when the network, the disk or a stranger interferes."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from posellm_assets.lake import Lake
from posellm_assets.program import Refusal
from posellm_assets.training import checkpoints, store
from posellm_assets.training.position import Position
from posellm_assets.training.saving import SavePoints, Saves
from posellm_assets.training.store import CheckpointStore, url_of
from posellm_assets_tests.hub_server import DROP, Fault, Hub, Repository, serving
from posellm_assets_tests.waits import HANG_S

TOKEN = "hf_secret_of_the_test"
URL = "hf://me/posellm-stage1/all-0001"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that the environment points to, and a client that does not wait long."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(CheckpointStore, "waits_s", (0.01, 0.01, 0.01))
    with serving(TOKEN) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture(params=["hub", "folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path, remote: Hub) -> str:
    """One of the homes that a store can have, empty."""
    return {"hub": URL, "folder": str(tmp_path / "disk"), "bucket": f"memory://{tmp_path.name}"}[request.param]


class Training:
    """A training as far as its checkpoints go: what it saves says at which step."""

    def __init__(self, out: Path, url: str | None, seed: int = 0):
        self.said: list[str] = []
        self.saves, self.seed = Saves(out, url, self.said.append), seed

    def save(self, *steps: int, wait: bool = True) -> dict[str, Any]:
        """Save at each of `steps`, and let each copy arrive before the next where `wait`."""
        for step in steps:

            def fill(folder: Path, step: int = step) -> None:
                (folder / "weights.safetensors").write_bytes(str(step).encode() * 5000)
                (folder / "position.json").write_text(json.dumps({"step": step, "identity": {"seed": self.seed}}))

            self.saves.write(step, fill, f"# Step {step}\n")
            if wait:
                self.saves.finish()
        return self.saves.finish()

    def resume(self) -> int | None:
        """The step that it goes on from."""
        newest = self.saves.newest(self.unfit)
        return checkpoints.read_position(newest).step if newest else None

    def unfit(self, position: Position, where: str) -> None:
        """Refuse a checkpoint of another seed."""
        checkpoints.check_identity(position.identity, {"seed": self.seed}, where)


def stored(hub: Hub) -> Repository:
    return hub.repositories["me/posellm-stage1"]


def test_a_save_too_many_goes_when_training_goes_on_and_when_it_ends(tmp_path: Path) -> None:
    """A kill between a save and the removal of the oldest leaves three; so does a copy that is slower than training."""
    training = Training(tmp_path / "a", str(tmp_path / "store"))
    training.save(1, 2, 3, wait=False)
    assert checkpoints.steps(tmp_path / "a") == [3, 2]
    shutil.copytree(tmp_path / "a" / "checkpoint-2", tmp_path / "a" / "checkpoint-1")
    again = Training(tmp_path / "a", str(tmp_path / "store"))
    assert again.resume() == 3
    again.saves.copy("# Step 3\n", keep=())
    assert checkpoints.steps(tmp_path / "a") == [3, 2]


def test_the_newest_two_are_kept_and_another_machine_goes_on_from_them(tmp_path: Path, url: str) -> None:
    assert Training(tmp_path / "a", url).save(30, 60, 90) == {"url": url, "newest": 90, "warnings": []}
    assert store.open_store(url).steps() == [90, 60]
    moved = Training(tmp_path / "b", url)
    assert moved.resume() == 90
    assert moved.said == [f"takes checkpoint-90 of {url}: there is none here"]
    for file in (tmp_path / "a" / "checkpoint-90").iterdir():
        assert (tmp_path / "b" / "checkpoint-90" / file.name).read_bytes() == file.read_bytes()
    moved.save(120)
    assert store.open_store(url).steps() == [120, 90]
    behind = Training(tmp_path / "a", url)
    assert behind.resume() == 120
    assert behind.said == [f"takes checkpoint-120 of {url}: newer than checkpoint-90 here"]
    assert Training(tmp_path / "a", url).resume() == 120


def test_each_upload_to_the_hub_is_one_commit_to_a_private_repository_with_a_card(tmp_path: Path, remote: Hub) -> None:
    Training(tmp_path, URL).save(30, 60, 90)
    assert stored(remote).private and len(stored(remote).commits) == 1 + 3
    for step, files in zip((30, 60, 90), stored(remote).commits[1:], strict=True):
        assert files["README.md"] == f"# Step {step}\n".encode()
        whole = {path.split("/")[1] for path in files if path.endswith("manifest.json")}
        assert whole == {f"checkpoint-{kept}" for kept in (step - 30, step) if kept}


def test_a_commit_that_came_between_is_kept_and_the_upload_repeated(tmp_path: Path, remote: Hub) -> None:
    def somebody(repository: Repository) -> None:
        remote.before_commit = None
        repository.commits.append({**repository.files, "note.txt": b"by somebody else"})

    remote.before_commit = somebody
    assert Training(tmp_path, URL).save(30)["warnings"] == []
    assert stored(remote).files["note.txt"] == b"by somebody else"
    assert store.open_store(URL).steps() == [30]
    assert sum("/commit/" in request for request in remote.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/api/models/", DROP),
        Fault("POST", "/preupload/", DROP),
        Fault("POST", "/api/repos/create", 500, times=3),
        Fault("POST", "/preupload/", 503),
        Fault("POST", "/commit/", 409),
        Fault("POST", "/commit/", 403),
    ],
    ids=lambda fault: f"{fault.status} {fault.part}",
)
def test_what_passes_is_tried_again(tmp_path: Path, remote: Hub, fault: Fault) -> None:
    remote.faults.append(Fault(**vars(fault)))
    assert Training(tmp_path, URL).save(30) == {"url": URL, "newest": 30, "warnings": []}
    assert remote.faults[0].times == 0
    assert store.open_store(URL).steps() == [30]


def test_an_upload_that_breaks_off_is_not_there_at_all_and_is_made_up_for(tmp_path: Path, remote: Hub) -> None:
    remote.faults.append(Fault("PUT", "/lfs/", 507, times=9, message="no space left for me"))
    training = Training(tmp_path, URL)
    record = training.save(30)
    assert record["newest"] is None
    (warning,) = record["warnings"]
    assert warning.startswith(f"checkpoint-30 could not be stored: {URL}: ") and "507" in warning
    assert "signature" not in warning and f"warning: {warning}" in training.said
    assert list(stored(remote).files) == [".gitattributes"], "nothing of it is there"
    assert training.resume() == 30, "the copy here is whole"
    remote.faults.clear()
    assert training.save(60)["newest"] == 60
    assert store.open_store(URL).steps() == [60, 30]


def test_what_was_killed_before_it_arrived_is_copied_when_training_goes_on(tmp_path: Path, url: str) -> None:
    Training(tmp_path, url).save(30)
    Training(tmp_path, None).save(60)
    again = Training(tmp_path, url)
    assert again.resume() == 60
    again.saves.copy("# Card\n")
    assert again.saves.finish()["newest"] == 60
    assert store.open_store(url).steps() == [60, 30]


def test_a_finished_training_copies_what_it_could_not(tmp_path: Path, remote: Hub) -> None:
    remote.faults.append(Fault("PUT", "/lfs/", 403, times=9, message="Private repository storage limit reached"))
    record = Training(tmp_path, URL).save(60)
    assert "storage limit reached" in record["warnings"][0]
    remote.faults.clear()
    again = Training(tmp_path, URL)
    assert again.saves.is_behind(record, 60)
    again.saves.copy("# Card\n")
    record = again.saves.finish()
    assert record == {"url": URL, "newest": 60, "warnings": []} and not again.saves.is_behind(record, 60)


def test_training_goes_on_while_a_copy_is_on_its_way_and_the_copied_one_is_not_taken_away(
    tmp_path: Path, remote: Hub
) -> None:
    go_on = threading.Event()

    def slowly(repository: Repository) -> None:
        assert go_on.wait(HANG_S)

    remote.before_commit = slowly
    training = Training(tmp_path, URL)
    for step in (10, 20, 30):
        training.saves.write(step, lambda folder: (folder / "position.json").write_text('{"identity": {}}'), "")
    assert (tmp_path / "checkpoint-10").is_dir(), "it is being read"
    assert training.saves.finish(0.1)["warnings"] == [
        f"{URL}: checkpoint-30 was still on its way; the copy here is whole"
    ]
    go_on.set()
    assert training.saves.finish()["newest"] == 30
    assert store.open_store(URL).steps() == [30, 20]


def test_a_repository_that_is_public_is_refused_before_the_first_byte(tmp_path: Path, remote: Hub) -> None:
    remote.repositories["me/posellm-stage1"] = Repository(private=False)
    with pytest.raises(Refusal, match=r"me/posellm-stage1 is public.*names of participants.*hf\+public://"):
        Training(tmp_path / "a", URL).resume()
    (warning,) = Training(tmp_path / "a", URL).save(30)["warnings"]
    assert "is public" in warning
    assert len(stored(remote).commits) == 1 and not remote.objects
    assert not any("preupload" in request or "/lfs" in request for request in remote.requests)

    told = url_of("hf+public://me", Lake(tmp_path / "lake"), "stage1", "all-0001")
    assert Training(tmp_path / "b", told).save(30)["warnings"] == []
    assert store.open_store(told).steps() == [30] and not stored(remote).private


def test_with_a_wrong_token_or_none_nothing_begins_anew_behind_ones_back(
    tmp_path: Path, remote: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    Training(tmp_path / "a", URL).save(30)
    for step, token, why in ((30, "hf_wrong_but_secret", "401"), (60, "", "HF_TOKEN is not set")):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(Refusal, match=f"whether the store has one cannot be found out: .*{why}") as caught:
            Training(tmp_path / "b", URL).resume()
        assert "hf_wrong" not in str(caught.value)
        here = Training(tmp_path / "a", URL)
        assert here.resume() == step
        warnings = here.save(step + 30)["warnings"]
        assert f"newer checkpoint than checkpoint-{step} could not be found out" in warnings[0]
        assert f"checkpoint-{step + 30} could not be stored" in warnings[1]
        assert "hf_wrong" not in "".join(here.said)


@pytest.mark.parametrize("file", ["weights.safetensors", "position.json", "manifest.json"])
def test_a_torn_checkpoint_in_the_store_is_passed_over_and_replaced(
    tmp_path: Path, url: str, remote: Hub, file: str
) -> None:
    Training(tmp_path / "a", url).save(30, 60)
    if url == URL:
        stored(remote).files["all-0001/checkpoint-60/" + file] = b"half"
    else:
        UPath(url, "checkpoint-60", file).write_bytes(b"half")
    moved = Training(tmp_path / "b", url)
    assert moved.resume() == 30
    assert moved.said[0].startswith(f"checkpoint-60 of {url} is passed over: ") and file[:8] in moved.said[0]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["checkpoint-30"]
    moved.save(45)
    assert store.open_store(url).steps() == [45, 30]
    assert Training(tmp_path / "c", url).resume() == 45


def test_half_of_an_upload_to_a_folder_is_no_checkpoint_and_goes_with_the_next(tmp_path: Path) -> None:
    url = str(tmp_path / "disk")
    half = tmp_path / "disk" / "checkpoint-40"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"half")
    training = Training(tmp_path / "a", url)
    assert training.resume() is None
    training.save(50)
    assert not half.exists()


def test_a_newer_checkpoint_that_nobody_looked_at_is_not_removed(tmp_path: Path, url: str) -> None:
    Training(tmp_path / "a", url).save(60)
    Training(tmp_path / "b", url).save(30)
    assert store.open_store(url).steps() == [60, 30]


def test_a_checkpoint_of_another_job_in_the_store_is_refused_with_the_difference_and_the_place(
    tmp_path: Path, url: str
) -> None:
    Training(tmp_path / "a", url, seed=1).save(30)
    with pytest.raises(checkpoints.CheckpointMismatch, match="seed was 1 and is now 0") as caught:
        Training(tmp_path / "b", url).resume()
    assert url in str(caught.value)
    assert list((tmp_path / "b").iterdir()) == []


STRANGE = [
    "../../evil.json",
    "/tmp/evil.json",
    "evil.pt",
    "a/../evil.json",
    ".evil.json",
    "a/b/c/evil.json",
    "evil.json\n",
]


@pytest.mark.parametrize("name", STRANGE)
def test_a_store_cannot_have_files_written_that_no_checkpoint_holds(tmp_path: Path, remote: Hub, name: str) -> None:
    Training(tmp_path / "a", URL).save(30)
    evil = json.dumps({name: "0" * 64, "position.json": "0" * 64}).encode()
    stored(remote).files["all-0001/checkpoint-30/manifest.json"] = evil
    moved = Training(tmp_path / "b", URL)
    assert moved.resume() is None
    assert f"it lists {name!r}, which no checkpoint holds" in moved.said[0]
    assert not list(tmp_path.rglob("evil*")) and list((tmp_path / "b").iterdir()) == []


def test_folders_that_are_no_checkpoints_are_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoint-1x", "checkpoint--1", "checkpoint-12345678901", "notes"):
        (tmp_path / "disk" / name).mkdir(parents=True)
        (tmp_path / "disk" / name / "manifest.json").write_text("{}")
    training = Training(tmp_path / "a", str(tmp_path / "disk"))
    training.save(30)
    assert training.resume() == 30
    assert len(list((tmp_path / "disk").iterdir())) == 4 + 2


def test_a_full_disk_here_keeps_the_older_checkpoint_and_warns(tmp_path: Path) -> None:
    import resource

    training = Training(tmp_path, None)
    training.save(30)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        record = training.save(60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert record["warnings"][0].startswith("checkpoint-60 could not be written, checkpoint-30 is kept: ")
    assert os.listdir(tmp_path) == ["checkpoint-30"]
    assert training.resume() == 30
    assert training.save(90)["warnings"] == record["warnings"]
    assert training.resume() == 90


def test_a_store_that_cannot_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("a file where the folder should be")
    record = Training(tmp_path / "a", str(tmp_path / "disk" / "stage1")).save(30, 60)
    assert record["newest"] is None and len(record["warnings"]) == 2
    assert checkpoints.steps(tmp_path / "a") == [60, 30]


class OutOfReach(Exception):
    """As botocore's EndpointConnectionError: no OSError."""


def test_a_bucket_out_of_reach_is_tried_again_and_then_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointStore, "waits_s", (0.01, 0.01, 0.01))
    url, failures, reached = f"memory://{tmp_path.name}", 3, MemoryFileSystem.info

    def info(self: MemoryFileSystem, path: str, **options: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OutOfReach("Could not connect to the endpoint URL: https://bucket.example/?X-Amz-Signature=secret")
        return reached(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "info", info)
    assert Training(tmp_path / "a", url).save(30)["warnings"] == [] and failures == 0
    assert store.open_store(url).steps() == [30]
    failures = 1000
    with pytest.raises(store.StoreError, match="OutOfReach: Could not connect") as caught:
        store.open_store(url).steps()
    assert "secret" not in str(caught.value)
    assert "OutOfReach" in Training(tmp_path / "a", url).save(60)["warnings"][-1]


def test_where_checkpoints_go_is_a_template(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    assert url_of(None, lake, "stage1", "all-0001") == str(tmp_path / "lake/hub/stage1/all-0001")
    assert url_of(str(tmp_path), lake, "stage1", "all-0001") == str(tmp_path / "stage1/all-0001")
    assert url_of("hf://me", lake, "stage1", "all-0001") == URL
    assert url_of("hf://me/{stage}-of-{snapshot}", lake, "stage1", "all-0001") == "hf://me/stage1-of-all-0001/all-0001"
    for template, why in {
        "hf://me/model": "one repository for all stages",
        "hf://me/a b-{stage}": "is not hf://NAMESPACE/REPOSITORY/FOLDER",
        "hf:///{stage}": "is not hf://NAMESPACE",
        str(tmp_path / "not-mounted"): "create the folder, or mount the disk",
        "s3://key:hidden@bucket": "holds a password",
    }.items():
        with pytest.raises(ValueError, match=why) as caught:
            url_of(template, lake, "stage1", "all-0001")
        assert "hidden" not in str(caught.value)
    with pytest.raises(ValueError, match="cannot name a folder"):
        url_of(None, lake, "../stage1", "all-0001")


def test_save_points_are_half_and_end_and_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def due(points: SavePoints, steps: int) -> list[int]:
        return [step for step in range(1, steps + 1) if points.due(step)]

    assert due(SavePoints(60, None, None), 60) == [30, 60]
    assert due(SavePoints(1, None, None), 1) == [1]
    assert due(SavePoints(60, 25, None), 60) == [25, 30, 50, 60]
    now_s = iter(range(0, 10_000, 20))  # a step takes 20 s
    monkeypatch.setattr("posellm_assets.training.saving.time.monotonic", lambda: next(now_s))
    assert due(SavePoints(100, None, 5.0), 30) == [15, 30]
