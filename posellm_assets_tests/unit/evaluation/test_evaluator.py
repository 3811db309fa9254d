import json
import random
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.evaluation.clips import FilmedExample, read_filmed
from posellm_assets.evaluation.config import EvaluatorConfig, EvaluatorJob
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.train_evaluator import _view, fit, run
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets_tests.unit.evaluation.world import quiet
from posellm_assets_tests.unit.texts.athletes import MOVEMENTS, athlete, squat, wave


@dataclass(frozen=True)
class _Steps:
    frames_per_step: int = 4
    codes_per_step: int = 1


STEPS = _Steps()
CONFIG = EvaluatorConfig(steps=50, batch_size=16, width=64)


@pytest.fixture(scope="module")
def job(world) -> EvaluatorJob:
    return EvaluatorJob(
        frames_per_step=4,
        codes_per_step=1,
        train=world.examples("evaluator-train", world.keys("train"), None, variants=True),
        test=world.examples("evaluator-test", world.keys("test"), None),
        motions=world.motions,
        out=world.folder / "evaluator",
        config=CONFIG,
    )


@pytest.fixture(scope="module")
def report(job):
    return run(job, quiet)


def test_the_evaluator_knows_the_movements_of_people_it_has_never_seen(report):
    assert report["accuracy"]["n"] == 8 and report["accuracy"]["value"] >= 0.75 and report["accuracy_chance"] == 0.25
    assert report["labels"] == sorted(MOVEMENTS)


def test_the_report_is_kept_beside_the_weights(job, report):
    kept = json.loads((job.out / "report.json").read_text())
    assert kept["accuracy"]["value"] == report["accuracy"]["value"]
    assert (kept["train_clips"], kept["held_out_clips"], kept["seed"]) == (20, 8, 0)


def test_a_loaded_evaluator_says_what_the_saved_one_said(job, report, world):
    evaluator = Evaluator.load(job.out)
    clips = read_filmed(job.test, world.motions, STEPS)
    first = evaluator.similarity([clip.motion for clip in clips], sorted(MOVEMENTS))
    again = Evaluator.load(job.out).similarity([clip.motion for clip in clips], sorted(MOVEMENTS))
    assert np.array_equal(first, again) and np.abs(first).max() <= 1 + 1e-5


def test_the_same_seed_gives_the_same_evaluator_and_another_seed_another(job):
    clips = read_filmed(job.train, job.motions, STEPS)
    short = CONFIG.model_copy(update={"steps": 4})
    assert fit(clips, short, 0, quiet)[1] == fit(clips, short, 0, quiet)[1] != fit(clips, short, 1, quiet)[1]


def test_a_mirrored_view_is_taught_with_the_mirrored_words():
    motion = athlete(4.0, left_arm=wave(4.0, 2.0, 0, 120))
    texts = ("the left arm rises",)
    clip = FilmedExample("gym.wave-a.00000000", 0, "original", False, "gym", None, texts, (0,) * 20, motion)
    assert {_view(clip, CONFIG, random.Random(seed))[1:] for seed in range(9)} == {(texts[0], frozenset(texts))}
    clip = replace(clip, mirrored_texts=("the right arm rises",))
    left, right = (3 * BODY.index(f"{side}_wrist") + 4 - 3 for side in ("left", "right"))
    choose, seen = random.Random(0), set()
    for _ in range(20):
        features, text, _ = _view(clip, CONFIG, choose)
        moves_left = np.ptp(features[:, left + 1]) > np.ptp(features[:, right + 1])
        assert text == f"the {'left' if moves_left else 'right'} arm rises"
        seen.add(text)
    assert len(seen) == 2


def test_words_whose_sides_are_not_known_are_said_of_no_mirror_image(tmp_path, world):
    """The French caption holds for the motion as it was filmed only, the English ones for its mirror image too."""
    key = next(key for key in world.keys("train") if world.label[key] == "squat")
    path = world.examples("french", [key], None, variants=True)
    rows = pq.read_table(path).to_pylist()
    rows[0]["texts"] = ["la jambe gauche", "the left leg"]
    rows[1]["texts"] = ["the right leg"]
    pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), path)
    (clip,) = read_filmed(path, world.motions, STEPS)
    views = [_view(clip, CONFIG, random.Random(seed)) for seed in range(40)]
    assert {fitting for _, _, fitting in views} == {
        frozenset({"la jambe gauche", "the left leg"}),
        frozenset({"the right leg"}),
    }


def test_a_verdict_does_not_depend_on_what_else_is_judged(job, report, world):
    evaluator, clips = Evaluator.load(job.out), read_filmed(job.test, world.motions, STEPS)
    together = evaluator.similarity([clip.motion for clip in clips], ["squat"])
    alone = np.concatenate([evaluator.similarity([clip.motion], ["squat"]) for clip in clips])
    assert np.allclose(together, alone, atol=1e-5)


def test_motion_of_another_frame_rate_or_too_short_is_refused(job, report):
    evaluator = Evaluator.load(job.out)
    with pytest.raises(ValueError, match=r"20\.0 frames/s, not body at 30"):
        evaluator.similarity([replace(squat(3.0, 1.5, 90.0), fps=30.0)], ["squat"])
    with pytest.raises(ValueError, match="at least 4 frames, not 3"):
        evaluator.similarity([squat(3.0, 1.5, 90.0).cut(0, 3)], ["squat"])


def test_clips_without_labels_train_an_evaluator_and_its_accuracy_is_absent_with_the_reason(world, job, tmp_path):
    unlabelled = job.model_copy(
        update={
            "train": world.examples("plain-train", world.keys("train"), None, labelled=False),
            "test": world.examples("plain-test", world.keys("test"), None, labelled=False),
            "out": tmp_path,
            "config": CONFIG.model_copy(update={"steps": 3}),
        }
    )
    found = run(unlabelled, quiet)
    assert found["accuracy"] is None and found["accuracy_reason"] == "fewer than two labels in training"
    assert found["r_precision_3"]["n"] == 8


def test_an_empty_test_split_leaves_an_evaluator_without_held_out_figures(world, job, tmp_path):
    update = {
        "test": world.examples("none", [], None),
        "out": tmp_path,
        "config": CONFIG.model_copy(update={"steps": 2}),
    }
    found = run(job.model_copy(update=update), quiet)
    assert found["held_out_clips"] == 0 and found["accuracy_reason"] == "no labelled held-out clip"


def test_a_motion_that_is_not_what_was_tokenised_is_refused_by_name(world, job, tmp_path):
    key = world.keys("test")[0]
    motion = Motion.read(world.motions[key])
    motion.cut(0, len(motion) - 12).write(tmp_path / "shorter.parquet")
    with pytest.raises(ValueError, match=rf"{key}: segment 0 has \d+ codes, which does not fit the motion"):
        read_filmed(job.test, {**world.motions, key: tmp_path / "shorter.parquet"}, STEPS)
    with pytest.raises(ValueError, match=f"{key} is among the examples"):
        read_filmed(job.test, {other: path for other, path in world.motions.items() if other != key}, STEPS)


@pytest.mark.parametrize("codes_per_step", [1, 2])
def test_segments_are_found_again_after_a_gap(world, tmp_path, codes_per_step: int):
    motion = squat(6.0, 2.0, 90.0)
    motion.joints[50:60] = np.nan
    motion.joints[5:8] = np.nan  # leaves a stretch too short to be tokenised
    motion.write(tmp_path / "gym.squat-z.00000000.parquet")
    split = {"gym.squat-z.00000000": "test"}
    gapped = replace(
        world,
        folder=tmp_path,
        motions={key: tmp_path / f"{key}.parquet" for key in split},
        label=dict.fromkeys(split, "squat"),
    )
    path = gapped.examples("gapped", [], None)
    row = {"key": "gym.squat-z.00000000", "variant": "original", "mirrored": False, "sport": "gym", "texts": ["squat"]}
    rows = [
        {**row, "segment": 0, "codes": [0] * 10 * codes_per_step},
        {**row, "segment": 1, "codes": [0] * 15 * codes_per_step},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    clips = read_filmed(path, gapped.motions, replace(STEPS, codes_per_step=codes_per_step))
    assert [(round(clip.motion.start_s, 2), len(clip.motion)) for clip in clips] == [(0.4, 42), (3.0, 60)]


def test_the_program_says_in_one_sentence_what_is_wrong_with_its_job(job, tmp_path):
    path = tmp_path / "job.json"
    path.write_text(job.model_copy(update={"train": tmp_path / "gone.parquet"}).model_dump_json())
    done = subprocess.run(
        [sys.executable, "-m", "posellm_assets.evaluation.train_evaluator", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("evaluator: ") and "there are no examples" in done.stderr
    assert "Traceback" not in done.stderr
