"""Motions from texts, judged and warned of, and motions that go on from clips: what was not learned is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.commands.generate import NothingLike, Request, generate_motions
from posellm_assets.evaluation.config import EvaluatorConfig
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.files import read_json, write_json
from posellm_assets.lake import METRICS, Lake
from posellm_assets.language.train import train
from posellm_assets.motion.representation import layout
from posellm_assets.settings import Settings
from posellm_assets.training.backends import Backend
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import segment, write_tokens
from posellm_assets_tests.unit.language import samples

KEY, OTHER = "gym.squat.0000000a", "gym.squat.0000000b"


def lake_with(folder: Path, tasks: dict[str, float]) -> Lake:
    """A lake with two clips of two stretches each, and a released model that was trained on `tasks`."""
    lake = Lake(folder / "lake")
    lineage = samples.save_tokenizer(folder / "tokenizer")
    target = lake.tokenizer(lineage)
    target.parent.mkdir(parents=True)
    (folder / "tokenizer").rename(target)
    for number, key in enumerate((KEY, OTHER)):
        stretches = [[1 + number] * 8, [3 + number] * 8]
        write_tokens(lake, lineage, key, [segment(codes) for codes in stretches])
    out = lake.stage("all-0001", "stage1")
    job = samples.job(folder, stage_changes={"steps": 1, "tasks": tasks}, lineage=lineage, out=out)
    train(job, Backend("hf", "asked for"), lambda message: None)
    put_in_use(lake, "language", "all-0001", folder=out / "final", lineage=lineage)
    return lake


def test_a_clip_is_continued_and_two_are_joined(tmp_path: Path) -> None:
    lake, out = lake_with(tmp_path, {"continuation": 0.5, "between": 0.5}), tmp_path / "made.json"
    for ends, first, last in (([KEY], [3] * 8, []), ([KEY, OTHER], [3] * 8, [2] * 8)):
        (one,) = generate_motions(lake, Settings(), Request(ends=ends, duration_s=2.0), out).made
        made = read_json(out)
        assert made["clips"] == ends and made["text"] is None
        assert made["codes"][:8] == first and made["codes"][len(made["codes"]) - len(last) :] == last
        assert len(made["codes"]) == 8 + 10 + len(last), "two seconds are ten codes of four frames at 20 fps"
        assert one.motion.duration_s == pytest.approx(len(made["codes"]) / 5)


def test_a_file_that_is_there_is_not_written_over_unless_it_is_told_to(tmp_path: Path) -> None:
    lake, out = lake_with(tmp_path, {"continuation": 1.0}), tmp_path / "made.bvh"
    command = ["generate", "--continue", KEY, "--length", "1", "--lake", str(lake.root), "--out"]
    second = tmp_path / "made-2.bvh"
    for path, more in ((out, []), (second, ["--samples", "2"])):
        path.write_text("mine")
        refused = CliRunner().invoke(app, [*command, str(out), *more])
        assert isinstance(refused.exception, FileExistsError) and f"{path} is there already" in str(refused.exception)
        assert path.read_text() == "mine"
        out.unlink(missing_ok=True)
    second.unlink()
    out.write_text("mine")
    told = CliRunner().invoke(app, [*command, str(out), "--overwrite"])
    assert told.exit_code == 0 and out.stat().st_size > 1000
    coached = tmp_path / "coached.mp4"
    coached.with_suffix(".html").write_text("mine")
    refused = CliRunner().invoke(app, ["coach", "x.mp4", "--exercise", "squat", "--out", str(coached)])
    assert "coached.html is there already" in str(refused.exception)


def test_what_is_asked_for_twice_or_was_never_learned_is_refused(tmp_path: Path) -> None:
    lake, out = lake_with(tmp_path, {"motion": 1.0}), tmp_path / "made.json"
    with pytest.raises(ValueError, match="say what to generate: a text, or --continue KEY"):
        generate_motions(lake, Settings(), Request("a squat", ends=[KEY]), out)
    with pytest.raises(FileNotFoundError, match=r"gym\.squat\.0000000c has no tokens of"):
        generate_motions(lake, Settings(), Request(ends=["gym.squat.0000000c"]), out)
    with pytest.raises(ValueError, match="has not learned the task continuation, only motion"):
        generate_motions(lake, Settings(), Request(ends=[KEY]), out)
    with pytest.raises(ValueError, match=r"have room for \d+ time steps behind a prompt of \d+ tokens, not 1500"):
        generate_motions(lake, Settings(), Request("a squat", duration_s=300.0), out)
    with pytest.raises(ValueError, match="the text is empty"):
        generate_motions(lake, Settings(), Request(" "), out)
    assert not out.exists()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake whose model was trained on texts for a moment, with an evaluator that has learned nothing."""
    lake = lake_with(tmp_path_factory.mktemp("spoken"), {"t2m": 1.0})
    torch.manual_seed(0)
    size = layout(samples.TORSO).size
    config = EvaluatorConfig(width=16, embedding_size=8, text_buckets=64)
    Evaluator(np.zeros(size), np.ones(size), samples.TORSO, 20.0, config).eval().save(lake.evaluator("all-0001"))
    return lake


def test_a_motion_is_said_to_be_what_the_evaluator_takes_it_for(spoken: Lake, tmp_path: Path) -> None:
    out = tmp_path / "made.json"
    generated = generate_motions(spoken, Settings(), Request("somebody squats", samples=3, seed=5), out)
    assert generated.asked == "squat: somebody squats" and generated.warning == ""
    evaluator = Evaluator.load(spoken.evaluator("all-0001"))
    for number, one in enumerate(generated.made):
        row = evaluator.probabilities([one.motion], sorted(samples.LABELS))[0]
        assert row.sum() == pytest.approx(1.0, abs=1e-5)
        assert one.taken_for == sorted(samples.LABELS)[row.argmax()]
        assert one.probability == pytest.approx(row.max(), abs=1e-4)
        said = read_json(out.with_stem(f"made-{number + 1}"))
        assert (said["asked"], said["taken_for"], said["seed"]) == (generated.asked, one.taken_for, 5 + number)


def test_the_best_of_several_is_the_one_most_like_what_was_asked_for(spoken: Lake, tmp_path: Path) -> None:
    several = generate_motions(spoken, Settings(), Request("a serve", samples=6), tmp_path / "all.json").made
    (kept,) = generate_motions(
        spoken, Settings(), Request("a serve", samples=6, best=True), tmp_path / "best.json"
    ).made
    evaluator, labels = Evaluator.load(spoken.evaluator("all-0001")), sorted(samples.LABELS)
    serve = evaluator.probabilities([one.motion for one in several], labels)[:, labels.index("serve")]
    assert kept.codes == several[int(serve.argmax())].codes and kept.seed == int(serve.argmax())
    assert (tmp_path / "best.json").exists()
    with pytest.raises(ValueError, match="give a text and --samples, at least 2"):
        generate_motions(spoken, Settings(), Request("a serve", samples=1, best=True), tmp_path / "one.json")
    (four,) = generate_motions(spoken, Settings(), Request("a serve")).made
    (best,) = generate_motions(spoken, Settings(), Request("a serve", samples=4, best=True)).made
    assert (four.codes, four.seed) == (best.codes, best.seed)
    assert generate_motions(spoken, Settings(), Request("a serve", samples=1)).made[0].seed == 0


def test_without_an_evaluator_nothing_is_said_and_no_best_kept(tmp_path: Path) -> None:
    lake, out = lake_with(tmp_path, {"t2m": 1.0}), tmp_path / "made.json"
    (one,) = generate_motions(lake, Settings(), Request("squat"), out).made
    assert one.taken_for is None and "evaluator" not in one.told("squat")
    with pytest.raises(ValueError, match="no evaluator, so nothing can tell which motion is best"):
        generate_motions(lake, Settings(), Request("squat", samples=2, best=True), out)


def test_what_was_never_learned_is_warned_of_and_with_strict_refused(spoken: Lake, tmp_path: Path) -> None:
    out = tmp_path / "made.json"
    generated = generate_motions(spoken, Settings(), Request("backflip"), out)
    assert (
        generated.warning == ("nothing that this model learned is like 'backflip'; it knows: lunge, serve, squat")
        and out.exists()
    )
    out.unlink()
    with pytest.raises(NothingLike, match="'backflip'"):
        generate_motions(spoken, Settings(), Request("backflip", strict=True), out)
    assert not out.exists()
    run = CliRunner().invoke(app, ["generate", "backflip", "--strict", "--out", str(out), "--lake", str(spoken.root)])
    assert run.exit_code == 3 and "it knows: lunge, serve, squat" in run.output and not out.exists()
    run = CliRunner().invoke(app, ["generate", "he squats", "--strict", "--out", str(out), "--lake", str(spoken.root)])
    assert run.exit_code == 0 and out.exists(), run.output
    assert "s of motion for 'he squats', which the evaluator takes for" in " ".join(run.output.split())


def test_an_evaluator_that_does_not_know_real_motion_is_doubted(spoken: Lake) -> None:
    asked = Request("a serve", samples=1)
    assert "was not measured" in generate_motions(spoken, Settings(), asked).doubt
    for right, doubt in ((0.2, "right about 3 of 15 held-out real motions"), (0.8, "")):
        figures = {"recognised_real": {"value": right, "n": 15}}
        write_json(spoken.report("all-0001") / METRICS, {"figures": figures, "absent": {}})
        assert doubt in generate_motions(spoken, Settings(), asked).doubt
    assert generate_motions(spoken, Settings(), asked).doubt == ""
