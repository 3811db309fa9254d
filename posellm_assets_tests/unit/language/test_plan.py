"""What hardware a base model needs: computed, held to real parameter counts, and shown in the README as computed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, OPTConfig, Qwen3Config

from posellm_assets.language.config import ModelConfig
from posellm_assets.language.plan import SHAPES, Hardware, bytes_needed, hardware_table, plan

GIB = 2**30
GPU = Hardware("a GPU", 24 * GIB, 64 * GIB, bf16=True)


def test_parameter_counts_are_those_of_the_real_architectures() -> None:
    qwen = Qwen3Config(
        vocab_size=151_936,
        hidden_size=2048,
        intermediate_size=6144,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    )
    opt = OPTConfig(
        vocab_size=50_272,
        hidden_size=1024,
        ffn_dim=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        word_embed_proj_dim=512,
        do_layer_norm_before=False,
    )
    for name, config in (("unsloth/Qwen3-1.7B", qwen), ("facebook/opt-350m", opt)):
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        real = sum(weight.numel() for weight in model.parameters())
        assert SHAPES[name].parameters == pytest.approx(real, rel=2e-3)


def test_the_readme_shows_the_computed_figures() -> None:
    assert hardware_table() in (Path(__file__).parents[3] / "README.md").read_text()


def test_less_memory_means_a_cheaper_way_and_a_user_s_choice_wins() -> None:
    auto = ModelConfig(base="auto")
    assert plan(replace(GPU, gpu_bytes=80 * GIB), auto).method == "full"
    assert plan(replace(GPU, gpu_bytes=16 * GIB), auto).method == "lora"
    assert plan(replace(GPU, gpu_bytes=6 * GIB), auto).base == "facebook/opt-350m"
    assert plan(replace(GPU, gpu_bytes=0), auto).base == "tiny"
    chosen = plan(GPU, ModelConfig(base="facebook/opt-350m", method="lora", precision="float32"))
    assert (chosen.base, chosen.method, chosen.precision) == ("facebook/opt-350m", "lora", "float32")
    assert chosen.bytes_needed < 24 * GIB and chosen.rows_per_batch * chosen.batches_per_step >= 16


def test_what_cannot_fit_is_said_with_the_figures() -> None:
    with pytest.raises(ValueError, match=r"needs \d+\.\d GiB.*lora or qlora"):
        plan(replace(GPU, gpu_bytes=8 * GIB), ModelConfig(base="unsloth/Qwen3-1.7B"))
    with pytest.raises(ValueError, match="not known here"):
        plan(GPU, ModelConfig(base="somebody/else"))


def test_activations_are_within_a_third_of_what_autograd_keeps() -> None:
    shape = SHAPES["tiny"]
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
    )
    model = AutoModelForCausalLM.from_config(config).model
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=torch.arange(1024)[None].view(4, 256), use_cache=False).last_hidden_state
    measured = sum(size for place, size in kept.items() if place not in weights)
    computed = bytes_needed(shape, "full", 1024, False) - bytes_needed(shape, "full", 0, False) - 12 * 1024 * 1088
    assert output.requires_grad
    assert computed == pytest.approx(measured, rel=0.34)
