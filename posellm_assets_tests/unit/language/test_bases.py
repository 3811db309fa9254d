"""Base models as one finds them: four families through all stages, and those that are refused with the reason."""

import importlib.util
import itertools
import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    PreTrainedTokenizerFast,
    ViTConfig,
)

from bench.bases import write_base
from posellm_assets.language import adapters
from posellm_assets.language.bases import UnsupportedModel, read_base_config, read_text_tokenizer
from posellm_assets.language.config import Method, ModelConfig, StageJob
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.models import load_plain
from posellm_assets.language.train import train
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.language import samples

HF = Backend("hf", "asked for")
STAGES = ({"motion": 1.0}, {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2}, {"t2m": 0.6, "m2t": 0.4})
needs_4_bits = pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="no bitsandbytes")


def three_stages(folder: Path, base: Path, method: Method, steps: int = 2) -> list[StageJob]:
    model = ModelConfig(base=str(base), method=method, lora_rank=4, backend="hf", precision="float32")
    jobs: list[StageJob] = []
    for number, tasks in enumerate(STAGES, 1):
        changes = {"steps": steps, "tasks": tasks, "row_tokens": 96}
        parent = jobs[-1].out / "final" if jobs else None
        jobs.append(samples.job(folder, f"stage{number}", changes, model=model, parent=parent))
        train(jobs[-1], HF, lambda message: None)
    return jobs


@pytest.mark.parametrize("family", ["opt", "qwen3", "gemma3", "llama"])
def test_lora_goes_through_three_stages_as_one_adapter_of_the_base(tmp_path: Path, family: str) -> None:
    base = write_base(family, tmp_path / "base")
    jobs = three_stages(tmp_path, base, "lora")
    results = [json.loads((job.out / "result.json").read_text()) for job in jobs]
    for before, after in itertools.pairwise(results):
        task = next(iter(set(before["val"]) & set(after["val_before"]) - {"m2t"}), None)
        if task:
            assert after["val_before"][task]["loss"] == pytest.approx(before["val"][task]["loss"], abs=1e-5)

    final = jobs[-1].out / "final"
    assert adapters.base_of(final, jobs[-1].model) == str(base)
    plain, trained = (AutoModelForCausalLM.from_pretrained(path) for path in (base, final))
    old = len(AutoTokenizer.from_pretrained(base))
    for end in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(plain, end)().weight[:old], getattr(trained, end)().weight[:old])
    assert adapters.is_tied(trained) == (family != "llama")
    assert trained.generation_config.eos_token_id[-1] == Vocabulary.load(final).end

    (codes,) = MotionLM.load(final).motion_from_text(["squat"], seed=1)
    assert codes and set(codes) <= set(range(samples.CODEBOOK_SIZE))


@pytest.mark.parametrize("family", ["opt", "gemma3"])
def test_every_linear_layer_but_the_head_is_adapted(tmp_path: Path, family: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(write_base(family, tmp_path / "base"))
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)} - {"lm_head"}
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(tmp_path / "base"), 4)
    vocabulary.added = [5]
    config = ModelConfig(base=str(tmp_path), method="lora")
    adapted = adapters.attach(model, config, vocabulary, seed=0)
    found = {name.split(".lora_A")[0] for name, _ in adapted.get_base_model().named_parameters() if ".lora_A" in name}
    assert found == linear
    if family == "opt":
        ends = {name.rsplit(".", 1)[-1] for name in found}
        assert ends == {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "project_in", "project_out"}


@needs_4_bits
def test_a_4_bit_base_is_trained_on_and_written_out_in_full(tmp_path: Path) -> None:
    base = write_base("llama", tmp_path / "base")
    jobs = three_stages(tmp_path, base, "qlora")
    final = jobs[-1].out / "final"
    trained = AutoModelForCausalLM.from_pretrained(final)
    assert not hasattr(trained.config, "quantization_config")
    rounded = load_plain(str(base), torch.float32, quantised=True)
    assert rounded.is_loaded_in_4bit
    untouched = AutoModelForCausalLM.from_pretrained(base)
    name = "model.layers.0.mlp.up_proj.weight"
    in_4_bits, original = rounded.dequantize().get_parameter(name), untouched.get_parameter(name)
    change = trained.get_parameter(name) - in_4_bits
    assert int(torch.linalg.matrix_rank(change.detach())) <= 4, "the merged weights are the 4-bit ones and the adapter"
    assert float((in_4_bits - original).detach().abs().max()) > 1e-3
    last = json.loads((jobs[-1].out / "result.json").read_text())
    nll = MotionLM.load(final).nll_per_code([[1, 2, 3, 4]], ["squat"])
    assert torch.isfinite(nll).all() and last["final_loss"] > 0


def test_what_is_no_text_decoder_in_safetensors_is_refused_with_the_remedy(tmp_path: Path) -> None:
    ViTConfig().save_pretrained(tmp_path / "vision")
    (tmp_path / "vision" / "model.safetensors").touch()
    pickled = write_base("qwen3", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    own_code = write_base("qwen3", tmp_path / "code")
    config = json.loads((own_code / "config.json").read_text())
    config |= {"model_type": "surprise", "auto_map": {"AutoConfig": "surprise.SurpriseConfig"}}
    (own_code / "config.json").write_text(json.dumps(config))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    for folder, reason in (
        (tmp_path / "vision", "no causal language model"),
        (pickled, "pytorch_model.bin only.*safetensors version"),
        (own_code, "Python code of its own"),
        (adapter, "is an adapter"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        with pytest.raises(UnsupportedModel, match=reason):
            read_base_config(str(folder), "lora")


def test_an_encoder_that_would_load_is_found_out_because_it_looks_ahead(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained(write_base("qwen3", tmp_path / "other"))
    BertLMHeadModel(BertConfig(vocab_size=340, **shape)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    model = ModelConfig(base=str(tmp_path / "bert"), backend="hf", precision="float32")
    with pytest.raises(UnsupportedModel, match="looks ahead"):
        train(samples.job(tmp_path, model=model), HF, print)


def test_an_end_of_text_comes_from_the_configuration_where_the_tokenizer_has_none(tmp_path: Path) -> None:
    base = write_base("llama", tmp_path / "base")
    fast = AutoTokenizer.from_pretrained(base).backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=fast).save_pretrained(base)
    config = read_base_config(str(base), "full")
    assert read_text_tokenizer(str(base), config).eos_token == "<|end_of_text|>"
    config.eos_token_id = None
    with pytest.raises(UnsupportedModel, match="names an end of text"):
        read_text_tokenizer(str(base), config)


def test_weights_that_lack_a_head_are_refused(tmp_path: Path) -> None:
    base = write_base("llama", tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(base).model.save_pretrained(base)
    with pytest.raises(UnsupportedModel, match=r"lacks weights.*lm_head"):
        load_plain(str(base), torch.float32)
