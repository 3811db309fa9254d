"""What the demo promises: figures well over chance on athletes that it was not trained on, and no work done twice."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

import posellm_assets as pa
from posellm_assets.definitions import build_defs
from posellm_assets.files import read_json
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets_tests.conftest import HF_TOKEN, Demo, make_demo


def test_held_out_motion_is_named_and_generated_motion_recognised(demo: Demo) -> None:
    metrics = read_json(Lake(demo.lake).report("all-0001") / "metrics.json")
    figures = metrics["figures"]
    assert figures["naming_chance"]["value"] < 0.15
    assert figures["naming_accuracy"]["value"] >= 0.9
    assert figures["naming_accuracy"]["n"] >= 20
    assert figures["recognised_sentences"]["n"] == 200
    assert figures["recognised_sentences"]["value"] >= 0.7
    assert figures["recognised_labels"]["n"] == 50
    assert figures["valid_share"]["value"] == 1.0


def test_nobody_is_on_both_sides_of_the_split(demo: Demo) -> None:
    videos = read_snapshot(Lake(demo.lake), "all-0001").videos
    sides: dict[str, set[str]] = {}
    for video in videos:
        sides.setdefault(video.participant or video.key, set()).add(video.split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert {split for splits in sides.values() for split in splits} == {"train", "val", "test"}


def test_the_demo_prints_its_figures_with_chance_beside_them(demo: Demo) -> None:
    for expected in ("tokenizer error", "stage3 loss", "motion named in text", "chance 0.10", "report: ", "generated "):
        assert expected in demo.output


def test_no_token_is_in_anything_that_the_demo_wrote(demo: Demo) -> None:
    written = [path for folder in (demo.lake, demo.home) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 500
    assert [path for path in written if HF_TOKEN.encode() in path.read_bytes()] == []
    assert HF_TOKEN not in demo.output


def test_checkpoints_of_every_stage_lie_in_the_lakes_own_store(demo: Demo) -> None:
    store = demo.lake / "hub"
    stored = {path.parent.relative_to(store).as_posix() for path in store.glob("*/*/*/manifest.json")}
    steps = {f"{name}/all-0001": (half, 2 * half) for name, half in (("stage1", 60), ("stage2", 150), ("stage3", 100))}
    assert stored == {f"{place}/checkpoint-{step}" for place, two in steps.items() for step in two}


def test_a_second_demo_finds_nothing_to_do_and_prints_the_same_table(demo: Demo) -> None:
    again = make_demo(demo.lake, demo.home)
    assert "Nothing left to do" in again.output
    assert "train_generation" not in again.output
    assert _table(again.output) == _table(demo.output)


def test_to_dagster_everything_that_was_made_is_up_to_date(demo: Demo) -> None:
    graph = build_defs().get_repository_def().asset_graph
    with dg.DagsterInstance.from_config(str(demo.home)) as instance:
        status = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        keys = instance.get_dynamic_partitions("videos")[::20]
        per_video = [dg.AssetKey(name) for name in ("footage", "poses", "motion", "captions", "motion_tokens")]
        found = {(str(asset), key): status.get_status(asset, key) for asset in per_video for key in keys}
        made = [dg.AssetKey(name) for name in ("stage_dataset", "stage3", "evaluation_report")]
        found |= {(str(asset), "all-0001"): status.get_status(asset, "all-0001") for asset in made}
    assert len(found) == 28 and {one for one, is_now in found.items() if is_now != StaleStatus.FRESH} == set()


def _table(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("│")]


def test_a_notebook_has_the_tables_and_the_models_in_a_line_each(demo: Demo) -> None:
    lake = pa.open_lake(str(demo.lake))
    videos = lake.videos()
    assert len(videos) == 100 and videos.ready.all() and set(videos.split) == {"train", "val", "test"}
    key = str(videos.index[videos.label == "squat"][0])
    facts, angles = lake.facts([key]), lake.angles(key)
    assert set(facts.key) == {key} and "knee" in set(facts.joint)
    assert len(angles) == len(lake.motion(key)) and angles["left knee"].min() < 120, "a squat bends the knees"
    assert lake.poses(key).world.shape[2:] == (33, 3) and lake.captions(key) and lake.tokens(key)[0]
    metrics = lake.metrics()
    named = metrics[metrics.figure == "naming_accuracy"].iloc[0]
    assert named.low <= named.value <= named.high and named.n == 30
    assert lake.predictions().empty, "no recogniser was trained"
    (made,) = lake.generate("someone doing a squat", seed=1).made
    assert made.taken_for == "squat" and lake.angles(made.motion).shape[1] == angles.shape[1]
    assert {line.get_label() for line in lake.plot_angles(key, ["knee"]).lines} == {"left knee", "right knee"}
    with pytest.raises(TypeError, match="give a list"):
        lake.facts(key)
    with pytest.raises(FileNotFoundError, match="there is no lake"):
        pa.open_lake(demo.lake / "nowhere")
