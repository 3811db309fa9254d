"""What `posellm status` says first: a sentence that answers, in words and without ids of metrics."""

from pathlib import Path

from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.commands.status import overview, told
from posellm_assets.files import write_json
from posellm_assets.footage.register import register
from posellm_assets.generations.gate import Comparison, GateOutcome
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.lake import METRICS, Lake
from posellm_assets_tests.clips import write_clip
from posellm_assets_tests.releases import put_in_use


def frozen(lake: Lake, name: str) -> None:
    snapshot = Snapshot(
        snapshot=name, scope="all", created_at="2026-01-01T00:00:00+00:00", lineage="vq-1", parent=None,
        videos=[], settings={"language": {"stages": [{"name": "stage3"}]}}, code_version="0",
    )  # fmt: skip
    write_json(lake.snapshot(name), snapshot.model_dump())


def test_a_refused_generation_is_told_with_what_fell_where_and_what_comes_next(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for number in (1, 2):
        write_clip(lake.raw / f"tennis/{number}.mp4", number)
        write_json(lake.captions(register(lake, f"tennis/{number}.mp4").key or ""), {})
    write_clip(lake.raw / "tennis/waits.mp4", 3)
    frozen(lake, "all-0001")
    assert told(overview(lake)) == (
        "nothing is released yet; 3 clips wait; next: 2 of 12 clips until the next generation"
    )
    put_in_use(lake, "language", "all-0001")
    frozen(lake, "all-0002")
    fell = Comparison(figure="naming_accuracy", of="athletics", new=2 / 3, old=1.0, n=12, gain=-1 / 3,
                      interval=(-0.6, -0.1), verdict="worse")  # fmt: skip
    kept = fell.model_copy(update={"figure": "nll_per_code", "of": "all that it knew", "verdict": "not worse", "n": 40})
    outcome = GateOutcome(promote=False, reasons=(str(fell),), against="all-0001", comparisons=(kept, fell))
    write_json(lake.report("all-0002") / METRICS, {"decision": outcome.model_dump(mode="json")})
    said = CliRunner().invoke(app, ["status", "--lake", str(lake.root)]).output
    assert said.splitlines()[0] == (
        "released: all-0001; 3 clips wait; all-0002 was refused because naming fell in athletics (1.00 to 0.67 of 12 "
        "cases); next: 2 of 12 clips until the next generation"
    )
    assert "naming_accuracy" not in said
    (tmp_path / "posellm.yaml").write_text("automation: {rules: {all: {min_new_videos: 2, max_days: 7}}}\n")
    assert told(overview(lake)).endswith("next: a generation, for which 2 clips are there")
