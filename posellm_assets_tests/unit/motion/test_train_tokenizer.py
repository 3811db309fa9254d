import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from posellm_assets.motion import representation
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.errors import aligned_mpjpe_mm, mpjpe_mm
from posellm_assets.motion.objective import Objective
from posellm_assets.motion.parts import AXES, HEADING, HEIGHT, SPEED, features_of, joined
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.train_tokenizer import train
from posellm_assets_tests.unit.motion.people import mocap, moving_person, write_people

TINY = {
    "start": "own", "codes": 64, "layers": 1, "code_size": 8, "width": 48, "encoder_blocks": 2, "decoder_blocks": 2,
    "frames_per_batch": 512, "learning_rate": 3e-3,
}  # fmt: skip


def silent(message):
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small tokenizer after a few seconds of training, and its report."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_files = write_people(folder / "motion", 12, 64)
    held_out = write_people(folder / "motion", 10, 64, first_seed=100)
    config = TokenizerConfig(**TINY, steps=250)
    job = TokenizerJob(train=train_files, held_out=held_out, out=folder / "out", config=config)
    return job, train(job, silent)


def test_training_learns_what_people_do(trained):
    _, report = trained
    held_out = report["held_out"]
    assert (held_out["clips"], held_out["frames"]) == (10, 640)
    assert held_out["aligned_mpjpe_mm"] < 0.8 * held_out["baseline_mean_pose_mm"]
    assert len(held_out["perplexity"]) == 5 and all(1 <= of_part <= 64 for of_part in held_out["perplexity"])
    assert sum(held_out["perplexity"]) <= held_out["codes_used"] <= held_out["codebook_size"] == 320
    for group in (held_out["by_sport"]["walking"], held_out["by_skeleton"]["body"]):
        assert group == {name: held_out[name] for name in group}
    assert held_out["mpjpe_mm"] < held_out["global_mpjpe_mm"]
    assert held_out["foot_skate_clips"] <= 10
    assert report["seed"] == 0 and report["step_cpu_seconds"] > 0


def test_movement_unlike_all_training_is_above_the_limit_and_more_of_the_same_below(trained):
    job, report = trained
    tokenizer, limit_mm = MotionTokenizer.load(job.out / "final"), report["held_out"]["error_limit_mm"]

    def error_mm(motion):
        rebuilt = tokenizer.decode(tokenizer.encode(motion))
        return mpjpe_mm(rebuilt, representation.placed(motion).cut(0, len(rebuilt)))

    walkers = [moving_person(64, seed) for seed in range(200, 220)]
    handstands = [replace(walker, joints=walker.joints * np.array([1, -1, -1], np.float32)) for walker in walkers]
    assert np.mean([error_mm(motion) > limit_mm for motion in walkers]) <= 0.1
    assert all(error_mm(motion) > limit_mm for motion in handstands)


def test_the_finished_folder_holds_a_tokenizer_its_report_and_its_losses(trained):
    job, report = trained
    assert sorted(path.name for path in (job.out / "final").iterdir()) == ["config.json", "model.safetensors"]
    tokenizer = MotionTokenizer.load(job.out / "final")
    assert tokenizer.lineage == report["lineage"]
    losses = [json.loads(line) for line in (job.out / "losses.jsonl").read_text().splitlines()]
    assert [line["step"] for line in losses] == list(range(1, 251))
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert json.loads((job.out / "result.json").read_text()) == report


def test_nothing_to_train_on_is_said_and_leaves_nothing_behind(tmp_path):
    short = write_people(tmp_path / "motion", 2, 10)
    job = TokenizerJob(train=short, held_out=[], out=tmp_path / "out", config=TokenizerConfig(**TINY))
    with pytest.raises(ValueError, match="none of 2 motion files has 16 frames"):
        train(job, silent)
    assert not (tmp_path / "out").exists()


def test_what_is_too_short_is_named_in_the_report(tmp_path):
    people = write_people(tmp_path / "motion", 3, 64)
    moving_person(10).write(people[1])
    gap = moving_person(64)
    gap.joints[40:55] = np.nan
    gap.write(people[2])
    job = TokenizerJob(train=people, held_out=[], out=tmp_path / "out", config=TokenizerConfig(**TINY, steps=5))
    report = train(job, silent)
    assert report["too_short"] == [
        f"{people[1].stem} from 0.00 s: 10 of 16 frames",
        f"{people[2].stem} from 2.75 s: 9 of 16 frames",
    ]
    assert report["train"] == {"clips": 2, "frames": 104}
    assert report["held_out"]["clips"] == 0 and "no held-out clip" in report["held_out"]["reason"]


def test_files_of_two_skeletons_are_refused_by_name(tmp_path):
    people = write_people(tmp_path / "motion", 1, 64)
    other = people[0].with_name("walking.other.00000000.parquet")
    mocap(1)[0].write(other)
    with pytest.raises(ValueError, match=r"other.*skeleton mocap"):
        train(TokenizerJob(train=[*people, other], held_out=[], out=tmp_path / "out"), silent)


def test_the_loss_measures_in_metres_what_the_decoded_motion_shows():
    torch.manual_seed(0)
    walker = moving_person(40, seed=1)
    features = features_of(walker)
    changed = [part + 0.02 * torch.randn_like(part) for part in features]
    loss, position_m = Objective(BODY, torch.ones(2))(*([part[None] for part in one] for one in (changed, features)))
    decoded = replace(walker, joints=joined(changed, BODY).numpy())
    # The decoded trunk leans as its own joints say, the heading as its features do: they differ by the noise.
    assert 1000 * position_m.item() == pytest.approx(aligned_mpjpe_mm(decoded, walker), rel=0.1)
    nothing, none_m = Objective(BODY, torch.ones(2))(*([part[None] for part in features] for _ in range(2)))
    assert none_m.item() < 2e-4 and nothing < 0.01 * loss


@pytest.mark.parametrize(
    ("spoilt", "group"), [("heading", HEADING), ("speed", SPEED), ("height", HEIGHT), ("axes", AXES)]
)
def test_each_of_the_trunk_s_features_counts_in_the_loss(spoilt, group):
    features = [part[None] for part in features_of(moving_person(40, seed=1))]
    trunk = features[0].clone()
    trunk[..., group] += 0.05 * torch.arange(trunk[..., group].shape[-1]) + 0.05
    objective = Objective(BODY, torch.ones(2))
    assert objective([trunk, *features[1:]], features)[0] > objective(features, features)[0] + 0.01, spoilt


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"windows": (18,)}, "multiple of 8"),
        ({"speeds": (0.9,)}, "1.0 is one of them"),
        ({"phases": (2,)}, "0 is one"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        TokenizerConfig(**settings)
