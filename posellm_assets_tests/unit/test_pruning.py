from pathlib import Path

from posellm_assets.commands.pruning import prune, spent_checkpoints
from posellm_assets.files import write_json
from posellm_assets.lake import FINAL, RESULT, Lake
from posellm_assets.training import checkpoints, store


def fill(folder: Path) -> None:
    write_json(folder / checkpoints.POSITION, {"step": 5})
    write_json(folder / "state.json", [0] * 1000)


def trained(lake: Lake, stage: str, finished: bool) -> Path:
    """A training with a checkpoint here and in the lake's store."""
    out = lake.stage("all-0001", stage)
    for folder in (out, Path(store.url_of(None, lake, stage, "all-0001"))):
        checkpoints.write(folder, 5, fill)
    if finished:
        write_json(out / RESULT, {})
        write_json(out / FINAL / "config.json", {})
    return out


def test_only_what_a_training_that_goes_on_resumes_from_is_kept(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    done, under_way = trained(lake, "stage1", True), trained(lake, "stage2", False)
    assert {path.parent for path in spent_checkpoints(lake)} == {done, lake.hub / "stage1" / "all-0001"}
    count, size = prune(lake)
    assert count == 2 and size > 4000
    assert (done / FINAL / "config.json").is_file() and checkpoints.steps(done) == []
    assert checkpoints.steps(under_way) == checkpoints.steps(lake.hub / "stage2" / "all-0001") == [5]
    assert prune(lake) == (0, 0)
