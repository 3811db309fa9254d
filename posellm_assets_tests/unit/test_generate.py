"""Motions that go on from clips of the lake: what is given stays as it is, and what was not learned is refused."""

from pathlib import Path

import pytest
import torch

from posellm_assets.commands.generate import NothingLike, Request, generate_motions
from posellm_assets.files import read_json
from posellm_assets.lake import Lake
from posellm_assets.language.train import train
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.representation import layout
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.settings import Settings
from posellm_assets.training.backends import Backend
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import segment, write_tokens
from posellm_assets_tests.unit.language import samples

KEY, OTHER = "gym.squat.0000000a", "gym.squat.0000000b"


def lake_with(folder: Path, tasks: dict[str, float]) -> Lake:
    """A lake with two clips of two stretches each, and a released model that was trained on `tasks`."""
    lake = Lake(folder / "lake")
    config = TokenizerConfig(codes=samples.CODEBOOK_SIZE, code_size=8, width=16)
    network = Network(layout(BODY).size, config)
    torch.nn.init.normal_(network.quantizer.layers[0].embed)
    lineage = MotionTokenizer(network, config, BODY, 20.0, (), seed=0).save(folder / "tokenizer")
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
