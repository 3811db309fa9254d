"""What the demo promises: figures well over chance on athletes that it was not trained on, and no work done twice."""

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


def _table(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("│")]
