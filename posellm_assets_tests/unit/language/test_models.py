import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from posellm_assets.language import adapters, models
from posellm_assets.language.config import ModelConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.train import train
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.training import backends
from posellm_assets.training.backends import Backend, BackendUnavailable
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.waits import HANG_S

HF = Backend("hf", "asked for")
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
}


def base(name: str, folder: Path) -> Path:
    """A pretrained model as one finds it, small: it has never heard of motion."""
    tokenizer: PreTrainedTokenizerFast = tiny_tokenizer(["a text of the world"], 300)
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer)}
    if name == "opt":
        shape = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
        model: Any = OPTForCausalLM(
            OPTConfig(**size, **shape, word_embed_proj_dim=16, max_position_embeddings=128, dropout=0.0)
        )
    elif name == "llama":
        model = LlamaForCausalLM(LlamaConfig(**size, **SHAPE, tie_word_embeddings=False))
    elif name == "gemma2":
        model = Gemma2ForCausalLM(Gemma2Config(**size, **SHAPE, final_logit_softcapping=3.0))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**size, **SHAPE, tie_word_embeddings=True))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["qwen3", "llama", "opt", "gemma2"])
def test_any_base_takes_a_lora_step_that_moves_the_new_rows_and_no_old_one(tmp_path: Path, name: str) -> None:
    source = base(name, tmp_path / "base")
    model = ModelConfig(base=str(source), method="lora", lora_rank=4, backend="hf", precision="float32")
    job = samples.job(tmp_path, stage_changes={"steps": 1, "weight_decay": 0.5}, model=model)
    result = train(job, HF, print)
    assert 0 < result["final_loss"] < 20
    assert result["packing"] == ("explicit mask" if name == "opt" else "positions")

    before, after = (AutoModelForCausalLM.from_pretrained(path) for path in (source, job.out / "final"))
    vocabulary = Vocabulary.load(job.out / "final")
    old = before.get_input_embeddings().weight.shape[0]
    assert min(vocabulary.added) == old
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(before, layer)().weight, getattr(after, layer)().weight[:old])
    assert adapters.is_tied(after) == adapters.is_tied(before) == (name != "llama")
    with pytest.raises(AssertionError):
        torch.testing.assert_close(before.base_model.state_dict(), after.base_model.state_dict())
    assert (job.out / "final" / "adapter" / "adapter_model.safetensors").is_file()

    generated = MotionLM.load(job.out / "final").motion_from_text(["squat", "a serve: twice"], seed=1)
    assert all(codes and set(codes) <= set(range(samples.CODEBOOK_SIZE)) for codes in generated)


def test_rows_longer_than_a_base_can_read_are_refused(tmp_path: Path) -> None:
    model = ModelConfig(base=str(base("opt", tmp_path / "base")), backend="hf")
    with pytest.raises(models.UnsupportedModel, match="reads at most 128 tokens: set row_tokens"):
        train(samples.job(tmp_path, stage_changes={"row_tokens": 256}, model=model), HF, print)


def test_the_rows_of_new_tokens_move_in_embedding_and_head_alike(tmp_path: Path) -> None:
    source = base("llama", tmp_path / "base")
    finals = []
    for steps in (1, 8):
        model = ModelConfig(base=str(source), method="lora", backend="hf", precision="float32")
        job = samples.job(tmp_path, f"out{steps}", {"steps": steps, "learning_rate": 0.01}, model=model)
        train(job, HF, print)
        finals.append(AutoModelForCausalLM.from_pretrained(job.out / "final"))
        new = Vocabulary.load(job.out / "final").codes
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        one, eight = (getattr(final, layer)().weight[new] for final in finals)
        assert float((one - eight).detach().abs().max()) > 1e-3


def test_a_soft_cap_on_the_logits_is_reproduced() -> None:
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(vocab_size=96, **SHAPE, final_logit_softcapping=3.0)).train(False)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(40)
        hidden = models.body(model)(input_ids=ids, use_cache=False).last_hidden_state
        assert float(model.get_output_embeddings()(hidden).abs().max()) > 4, "the cap must matter for the test to"
        assert torch.allclose(models.logits(model, hidden), model(input_ids=ids).logits, atol=1e-5)
        chosen = models.logits(model, hidden, rows=[5, 7])
    assert torch.allclose(chosen, models.logits(model, hidden)[..., [5, 7]], atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_code_tokens_begin_as_near_to_each_other_as_the_codes_of_each_place_are(tied: bool) -> None:
    vocabulary = Vocabulary(tiny_tokenizer(["a text of the world"], 300), codebook_size=24, codes_per_step=2)
    shape = {**SHAPE, "hidden_size": 512}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(vocabulary), **shape, tie_word_embeddings=tied))
    vectors = np.random.default_rng(0).normal(size=(24, 8)).astype(np.float32)
    vectors[12:] = 5 + 0.1 * vectors[:12]  # another space, in which they lie alike
    before = model.get_input_embeddings().weight.detach().clone()
    models.place_codes(model, vocabulary, vectors, seed=0)
    for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        for first, last in ((0, 12), (12, 24)):
            wanted = torch.pdist(torch.from_numpy(vectors[first:last]))
            got = torch.pdist(weight[vocabulary.codes[first:last]].detach())
            assert torch.corrcoef(torch.stack([wanted, got]))[0, 1] > 0.9
        assert float(weight.detach()[vocabulary.codes].std()) == pytest.approx(float(before.std()), rel=0.2)
        # A left arm's codes have the vectors of a right one's, and yet are other tokens.
        alike = torch.cosine_similarity(*(weight.detach()[vocabulary.codes].unflatten(0, (2, -1))), dim=-1)
        assert float(alike.abs().max()) < 0.5
    after = model.get_input_embeddings().weight
    others = [token for token in range(len(vocabulary)) if token not in vocabulary.codes]
    assert torch.equal(after[others], before[others])


def test_a_head_that_does_more_than_we_reproduce_is_refused() -> None:
    shape = {key: value for key, value in SHAPE.items() if key != "head_dim"}
    model = CohereForCausalLM(CohereConfig(vocab_size=96, **shape, logit_scale=0.1, bos_token_id=1, eos_token_id=2))
    with pytest.raises(models.UnsupportedModel, match="choose another base"):
        models.check_head(model, "cohere")


def test_where_unsloth_is_missing_auto_says_so_and_asking_for_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert backends.choose("auto").name == "hf"
    assert "not installed" in backends.choose("auto").reason
    with pytest.raises(BackendUnavailable, match=r"set model\.backend to 'hf'"):
        backends.choose("unsloth")


@pytest.mark.skipif(importlib.util.find_spec("unsloth") is None, reason="Unsloth is not installed")
def test_unsloth_loads_a_base_for_a_lora_step(tmp_path: Path) -> None:
    model = ModelConfig(base=str(base("llama", tmp_path / "base")), method="lora", lora_rank=4, backend="unsloth")
    job = samples.job(tmp_path, stage_changes={"steps": 1}, model=model)
    path = tmp_path / "job.json"
    path.write_text(job.model_dump_json())
    command = [sys.executable, "-m", "posellm_assets.language.train", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    result = json.loads((job.out / "result.json").read_text())
    assert result["backend"] == {"name": "unsloth", "reason": "asked for"}
    assert 0 < result["final_loss"] < 20
