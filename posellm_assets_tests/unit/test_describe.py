"""What `posellm describe` begins with: the words of the model in use and how sure it is, or that there is none."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.commands.describe import _in_words
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.lake import Lake
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.naming import say
from posellm_assets.language.train import train
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.training.backends import Backend
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.test_generate import lake_with


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered squat."""
    return render_clip(next(one for one in plan(seed=1) if one.label == "squat"), tmp_path_factory.mktemp("clip"))


def lake_that_reads_bodies(folder: Path) -> Lake:
    """A lake with a released model that was trained for a moment, of codes by part of the body that footage shows."""
    config = TokenizerConfig(codes=samples.CODEBOOK_SIZE, code_size=8, width=16)
    network = Network(BODY, config)
    for kind in network.kinds.values():
        torch.nn.init.normal_(kind.quantizer.layers[0].embed)
    tokenizer = MotionTokenizer(network, config, BODY, 20.0, (), seed=0)
    lake = Lake(folder / "lake")
    lineage = tokenizer.save(lake.tokenizers / "new")
    (lake.tokenizers / "new").rename(lake.tokenizer(lineage))
    for name, of_label, seed in (("train", 4, 0), ("val", 1, 1)):
        table = pq.read_table(samples.examples(folder / f"{name}.parquet", clips_per_label=of_label, seed=seed))
        rows = table.to_pylist()
        for row in rows:  # every part does what the one part of the samples does
            places = range(tokenizer.codes_per_step)
            row["codes"] = [place * config.codes + code for code in row["codes"] for place in places]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / f"{name}.parquet")
    out = lake.stage("all-0001", "stage1")
    shape = {"codebook_size": tokenizer.codebook_size, "codes_per_step": tokenizer.codes_per_step}
    stage = {"steps": 1, "tasks": {"m2t": 1.0}, "row_tokens": 128}
    job = samples.job(folder, stage_changes=stage, lineage=lineage, out=out, **shape)
    train(job, Backend("hf", "asked for"), lambda message: None)
    put_in_use(lake, "language", "all-0001", folder=out / "final", lineage=lineage)
    return lake


def described(lake: Lake, clip: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["describe", str(clip), "--lake", str(lake.root), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_model_speaks_first_and_says_how_sure_it_is(tmp_path: Path, clip: Path) -> None:
    lake = lake_that_reads_bodies(tmp_path)
    first, second, *facts = described(lake, clip).splitlines()
    assert first.startswith("- all-0001 says of 0.0 to ") and second.startswith(
        "- Of the 3 movements that it was taught"
    )
    assert any("knee" in fact for fact in facts)
    told = json.loads(described(lake, clip, "--json"))
    assert told["said"]["model"] == "all-0001" and told["said"]["text"] and told["unsaid"] is None
    assert set(told["said"]["likelihoods"]) == set(samples.LABELS)
    assert sum(told["said"]["likelihoods"].values()) == pytest.approx(1)
    assert told["sentences"][0].startswith("all-0001 says of 0.0 to ") and "\n" not in told["sentences"][0]
    assert "De los 3 movimientos" in described(lake, clip, "--language", "es")


def test_a_lake_without_a_model_says_so_and_what_was_measured(tmp_path: Path, clip: Path) -> None:
    first, *facts = described(Lake(tmp_path), clip).splitlines()
    assert first.startswith("- No language model is in use") and any("knee" in fact for fact in facts)
    told = json.loads(described(Lake(tmp_path), clip, "--json"))
    assert told["said"] is None and told["unsaid"] == first.removeprefix("- ")


def test_a_model_that_is_gone_is_named_and_keeps_nothing_from_being_measured(tmp_path: Path, clip: Path) -> None:
    lake = lake_with(tmp_path, {"m2t": 1.0})
    (lake.tokenizer(next(lake.tokenizers.iterdir()).name) / "config.json").unlink()
    first, *facts = described(lake, clip).splitlines()
    assert first.startswith("- all-0001, the language model in use, could not be asked:") and len(facts) > 1


def test_a_model_that_learned_it_is_sure_of_its_own_label(tmp_path: Path) -> None:
    job = samples.job(tmp_path, stage_changes={"steps": 150, "tasks": {"m2t": 1.0}})
    train(job, Backend("hf", "asked for"), lambda message: None)
    model = MotionLM.load(job.out / "final")
    for place, label in enumerate(samples.LABELS):
        said = say(model, [8 * place + step % 8 for step in range(10)])
        likeliest, share = next(iter(said.likelihoods.items()))
        assert likeliest == label and share > 0.5 and said.text.startswith(label)


def test_a_motion_like_none_that_was_learned_is_told_from_one_that_was(tmp_path: Path) -> None:
    job = samples.job(tmp_path, stage_changes={"steps": 150, "tasks": {"m2t": 0.5, "t2m": 0.5}})
    train(job, Backend("hf", "asked for"), lambda message: None)
    model = MotionLM.load(job.out / "final")
    learned = say(model, [step % 8 for step in range(10)])
    assert learned.is_familiar and learned.nats_per_code is not None
    assert learned.nats_per_code < learned.blind_nats_per_code == pytest.approx(math.log(samples.CODEBOOK_SIZE))
    assert not say(model, [7, 20, 3, 12, 0, 17, 9, 23, 5, 14]).is_familiar


def test_words_about_a_motion_like_none_are_not_passed_on(tmp_path: Path, clip: Path) -> None:
    lake = lake_that_reads_bodies(tmp_path)
    said = json.loads(described(lake, clip, "--json"))["said"]
    assert said["nats_per_code"] is None and said["familiar"], "it never learned to make motion, so it cannot tell"
    sentences = _in_words({**said, "familiar": False}, "en")
    assert "learned no motion like the one of 0.0 to " in sentences[0] and said["text"] not in sentences[0]
