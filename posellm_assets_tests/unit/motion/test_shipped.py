"""The codes that come with the package: any lake of the body skeleton adopts them, and training may begin there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posellm_assets.generations.tokenizers import adopt_tokenizer, lineage_in_use
from posellm_assets.lake import JOB, LOSSES, Lake
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.errors import aligned, aligned_mpjpe_mm
from posellm_assets.motion.held_out import HeldOut
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed
from posellm_assets.motion.shipped import SHIPPED, adopt_shipped
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.train_tokenizer import main, train
from posellm_assets_tests.unit.motion.people import moving_person, random_motion, write_people
from posellm_assets_tests.unit.motion.test_motion import PUPPET

BOTH_LAYERS = Codebook.read(SHIPPED).config


def silent(message: str) -> None:
    """A report that nobody reads."""


def job(folder: Path, train: list[Path], held_out: list[Path], **config: Any) -> TokenizerJob:
    return TokenizerJob(train=train, held_out=held_out, out=folder, config=TokenizerConfig(**config))


def adopted(lake: Lake, people: list[Path]) -> str:
    """The lineage after the program of the asset has run in a lake with these motions."""
    of_lake = job(lake.tokenizer_in_training, people[:2], people[2:])
    lake.tokenizer_in_training.mkdir(parents=True)
    (lake.tokenizer_in_training / JOB).write_text(of_lake.model_dump_json())
    adopt_shipped(of_lake, silent)
    return adopt_tokenizer(lake, reasons=["A test."], by="a test")


def test_two_lakes_with_other_footage_have_the_same_codes(tmp_path: Path) -> None:
    lakes = [Lake(tmp_path / name) for name in ("one", "two")]
    lineages = [adopted(lake, write_people(lake.root / "in", 3, 64, 50 * n)) for n, lake in enumerate(lakes)]
    assert lineages[0] == lineages[1] == lineage_in_use(lakes[0]) == lineage_in_use(lakes[1])
    motion = moving_person(80, 7)
    codes = [MotionTokenizer.load(lake.tokenizer(lineages[0])).encode(motion) for lake in lakes]
    assert codes[0] == codes[1]
    reports = [HeldOut.of(lake, lineages[0]) for lake in lakes]
    assert [report.clips for report in reports] == [3, 3], "none was trained on, so all are held out"
    assert reports[0].aligned_mpjpe_mm != reports[1].aligned_mpjpe_mm
    assert not (lakes[0].tokenizer(lineages[0]) / LOSSES).exists()


def test_adopted_once_more_they_are_measured_on_what_the_lake_has_by_then(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    people = write_people(tmp_path / "in", 5, 64)
    lineage = adopted(lake, people[:3])
    assert adopted(lake, people) == lineage
    assert HeldOut.of(lake, lineage).clips == 5
    assert len(json.loads((lake.tokenizer(lineage) / JOB).read_text())["held_out"]) == 3
    assert not lake.tokenizer_in_training.exists()


def test_the_report_says_what_they_keep_beside_the_clip_s_own_mean_pose(tmp_path: Path) -> None:
    (path,) = write_people(tmp_path / "in", 1, 64)
    result = adopt_shipped(job(tmp_path / "out", [path], []), silent)
    held_out = result["held_out"]
    poses = aligned(placed(Motion.read(path)))
    mean_pose_mm = 1000 * np.linalg.norm(poses - poses.mean(axis=0), axis=-1).mean()
    assert held_out["baseline_mean_pose_mm"] == pytest.approx(mean_pose_mm, abs=0.05)
    assert held_out["aligned_mpjpe_mm"] <= held_out["mpjpe_mm"] <= held_out["global_mpjpe_mm"]
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())


def test_a_lake_without_usable_motion_gets_them_too(tmp_path: Path) -> None:
    result = adopt_shipped(job(tmp_path / "out", write_people(tmp_path / "in", 1, 10), []), silent)
    assert result["held_out"]["clips"] == 0 and "no held-out clip" in result["held_out"]["reason"]
    assert result["too_short"] and MotionTokenizer.load(tmp_path / "out" / "final").lineage == result["lineage"]


def test_one_layer_is_adopted_and_both_where_they_are_asked_for(tmp_path: Path) -> None:
    people = write_people(tmp_path / "in", 2, 64)
    one, both = (
        adopt_shipped(job(tmp_path / str(layers), people, [], layers=layers), silent)
        for layers in (1, BOTH_LAYERS.layers)
    )
    assert (one["config"]["layers"], both["config"]["layers"]) == (1, BOTH_LAYERS.layers)
    assert both["lineage"] == Codebook.read(SHIPPED).lineage != one["lineage"]


def test_how_clips_are_varied_is_set_by_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    people = write_people(tmp_path / "in", 1, 64)
    for speeds in ((1.0,), (0.5, 1.0)):
        of_lake = job(lake.tokenizer_in_training, people, [], speeds=speeds, warps=(0.2,))
        lake.tokenizer_in_training.mkdir(parents=True)
        adopt_shipped(of_lake, silent)
        lineage = adopt_tokenizer(lake, reasons=["A test."], by="a test")
        config = MotionTokenizer.load(lake.tokenizer(lineage)).config
        assert (config.speeds, config.warps, config.codes) == (speeds, (0.2,), BOTH_LAYERS.codes)


def test_motion_that_they_cannot_write_is_told_to_train_its_own(tmp_path: Path) -> None:
    puppet, fast = tmp_path / "gym.puppet.00000000.parquet", tmp_path / "gym.fast.00000000.parquet"
    random_motion(40, PUPPET, 0).write(puppet)
    quick = moving_person(40)
    object.__setattr__(quick, "fps", 30.0)
    quick.write(fast)
    for path, said in ((puppet, "has puppet at 20.0: set tokenizer.start: own"), (fast, "has body at 30.0: set ")):
        with pytest.raises(ValueError, match=said):
            adopt_shipped(job(tmp_path / "out", [path], []), silent)
        with pytest.raises(ValueError, match=said):
            train(job(tmp_path / "out", [path], [], start="tuned"), silent)
    assert not (tmp_path / "out").exists()


def test_a_rig_with_other_joints_trains_codes_of_its_own_parts(tmp_path: Path) -> None:
    path = tmp_path / "gym.puppet.00000000.parquet"
    random_motion(64, PUPPET, 0).write(path)
    small = {"codes": 8, "code_size": 8, "width": 16, "frames_per_batch": 128, "steps": 2}
    train(job(tmp_path / "out", [path], [], start="own", **small), silent)
    tokenizer = MotionTokenizer.load(tmp_path / "out" / "final")
    codes = tokenizer.encode(random_motion(64, PUPPET, 1))
    assert len(codes) == 8 * len(tokenizer.network.parts) and len(tokenizer.decode(codes)) == 64


@pytest.mark.parametrize("layers", [1, BOTH_LAYERS.layers])
def test_tuned_codes_begin_at_the_shipped_ones_and_become_a_lineage_of_their_own(tmp_path: Path, layers: int) -> None:
    people = write_people(tmp_path / "in", 3, 64)
    about = {"start": "tuned", "layers": layers, "steps": 2, "frames_per_batch": 128, "learning_rate": 1e-5}
    result = train(job(tmp_path / "out", people[:2], people[2:], **about), silent)
    shipped, own = MotionTokenizer.load(SHIPPED).coarse(layers), MotionTokenizer.load(tmp_path / "out" / "final")
    assert result["lineage"] == own.lineage != shipped.lineage
    weights = own.network.state_dict()
    for name, before in shipped.network.state_dict().items():
        if "quantizer" not in name:
            assert torch.allclose(weights[name], before, atol=1e-3), name
    motion = moving_person(160, 9)
    after_mm, before_mm = (aligned_mpjpe_mm(one.decode(one.encode(motion)), placed(motion)) for one in (own, shipped))
    assert after_mm < 1.25 * before_mm


def test_tuned_codes_of_another_shape_are_refused_with_what_to_set(tmp_path: Path) -> None:
    people = write_people(tmp_path / "in", 1, 64)
    said = rf"another shape: set tokenizer.codes: {BOTH_LAYERS.codes}, .*, or tokenizer.start: own"
    with pytest.raises(ValueError, match=said):
        train(job(tmp_path / "out", people, [], start="tuned", codes=16, width=16), silent)


def test_the_program_adopts_them_and_a_training_that_was_begun_before_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = write_people(tmp_path / "in", 2, 64)
    small = {"codes": 8, "code_size": 8, "width": 16, "frames_per_batch": 128, "steps": 2}
    train(job(tmp_path / "out", people, [], start="own", **small), silent)
    path = tmp_path / "job.json"
    path.write_text(job(tmp_path / "out", people, []).model_dump_json())
    monkeypatch.setattr("sys.argv", ["train_tokenizer", str(path)])
    main()
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["lineage"] == MotionTokenizer.load(tmp_path / "out" / "final").lineage
    assert not (tmp_path / "out" / LOSSES).exists()
    own = train(job(tmp_path / "out", people, [], start="own", **small), silent)
    assert own["steps"] == 2 and own["lineage"] != result["lineage"], "and the other way about"


def test_they_are_of_the_body_skeleton_small_and_have_a_card() -> None:
    codebook = Codebook.read(SHIPPED)
    assert (codebook.skeleton["name"], codebook.fps, len(codebook.parts)) == ("body", 20.0, 5)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 5_000_000
    assert sorted(path.name for path in SHIPPED.iterdir()) == ["README.md", "config.json", "model.safetensors"]
