"""What hardware a base model needs: computed, held to real parameter counts, and shown in the documents as computed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, OPTConfig, PhiConfig, Qwen3Config

from posellm_assets.commands.doctor import examine
from posellm_assets.lake import Lake
from posellm_assets.language.config import ModelConfig, StageConfig
from posellm_assets.language.plan import (
    SHAPES,
    Hardware,
    NoPlan,
    bytes_needed,
    find_hardware,
    hardware_table,
    plan,
    settled,
    shape_of,
)
from posellm_assets.language.record import identity
from posellm_assets.settings import load_settings
from posellm_assets_tests.unit.language import samples

GIB = 2**30
GPU = Hardware("a GPU", 24 * GIB, 64 * GIB, bf16=True)
STAGE = StageConfig(name="stage1", tasks={"motion": 1.0}, steps=1)


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
    assert hardware_table() in (Path(__file__).parents[3] / "docs/training.md").read_text()


def test_less_memory_means_a_cheaper_way_and_a_user_s_choice_wins() -> None:
    auto = ModelConfig(base="auto")
    assert plan(replace(GPU, gpu_bytes=80 * GIB), auto, STAGE).method == "full"
    assert plan(replace(GPU, gpu_bytes=80 * GIB), ModelConfig(base="auto", method="lora"), STAGE).method == "lora"
    assert plan(replace(GPU, gpu_bytes=16 * GIB), auto, STAGE).method == "lora"
    assert plan(replace(GPU, gpu_bytes=6 * GIB), auto, STAGE).base == "facebook/opt-350m"
    assert plan(replace(GPU, gpu_bytes=0), auto, STAGE).base == "tiny"
    chosen = plan(GPU, ModelConfig(base="facebook/opt-350m", method="lora", precision="float32"), STAGE)
    assert (chosen.base, chosen.method, chosen.precision) == ("facebook/opt-350m", "lora", "float32")
    assert chosen.bytes_needed < 24 * GIB


def test_what_cannot_fit_is_said_with_the_figures() -> None:
    with pytest.raises(ValueError, match=r"needs \d+\.\d GiB.*lora or qlora"):
        plan(replace(GPU, gpu_bytes=8 * GIB), ModelConfig(base="unsloth/Qwen3-1.7B"), STAGE)
    with pytest.raises(ValueError, match="not known here"):
        plan(GPU, ModelConfig(base="somebody/else"), STAGE)
    with pytest.raises(NoPlan, match="no GPU: method qlora is for pretrained bases"):
        plan(replace(GPU, gpu="", gpu_bytes=0), ModelConfig(base="auto", method="qlora"), STAGE)


def test_a_step_has_the_same_rows_on_every_machine_in_as_many_batches_as_its_memory_asks_for() -> None:
    model, long = ModelConfig(base="unsloth/Qwen3-1.7B", method="lora"), STAGE.model_copy(update={"row_tokens": 2048})
    sizes = {gib: settled(model, long, replace(GPU, gpu_bytes=gib * GIB))[1] for gib in (80, 40, 20)}
    assert {gib: (stage.rows_per_batch, stage.batches_per_step) for gib, stage in sizes.items()} == {
        80: (4, 1),
        40: (2, 2),
        20: (1, 4),
    }
    own = StageConfig(name="stage1", tasks={"motion": 1.0}, steps=1, rows_per_batch=3, row_tokens=2048)
    assert settled(model, own, replace(GPU, gpu_bytes=16 * GIB)) == (model, own)


def test_a_step_in_other_batches_is_the_same_job_and_one_with_other_rows_is_not(tmp_path: Path) -> None:
    ids = [
        identity(samples.job(tmp_path, stage_changes={"rows_per_batch": rows, "batches_per_step": batches}))
        for rows, batches in ((4, 1), (2, 2), (4, 2))
    ]
    assert ids[0] == ids[1] != ids[2]


def test_settings_of_one_thing_leave_the_others_to_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "posellm.yaml").write_text("language: {model: {base: auto}}\n")
    roomy = replace(GPU, gpu_bytes=80 * GIB)
    language = load_settings(Lake(tmp_path / "lake")).language
    assert settled(language.model, language.stages[0], roomy)[0].method == "full"
    monkeypatch.setenv("POSELLM_LANGUAGE__MODEL__METHOD", "lora")
    language = load_settings(Lake(tmp_path / "lake")).language
    assert settled(language.model, language.stages[0], roomy)[0].method == "lora"
    assert settled(language.model, language.stages[0], replace(GPU, gpu="", gpu_bytes=0)) == (
        language.model.model_copy(update={"base": "tiny"}),
        language.stages[0],
    )


def test_the_size_of_a_local_folder_is_read_from_its_configuration(tmp_path: Path) -> None:
    configs = [
        OPTConfig(vocab_size=900, hidden_size=64, ffn_dim=160, num_hidden_layers=2, num_attention_heads=4,
                  word_embed_proj_dim=32, max_position_embeddings=50, do_layer_norm_before=False),
        Qwen3Config(vocab_size=900, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=24, tie_word_embeddings=True),
        LlamaConfig(vocab_size=900, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4),
        PhiConfig(vocab_size=900, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4),
    ]  # fmt: skip
    for number, config in enumerate(configs):
        folder = tmp_path / str(number)
        config.save_pretrained(folder)
        with torch.device("meta"):
            real = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
        assert shape_of(str(folder)).parameters == pytest.approx(real, rel=0.02), config.model_type
        assert plan(GPU, ModelConfig(base=str(folder)), STAGE).rows_per_batch == 4
    (tmp_path / "0" / "config.json").write_text('{"model_type": "mamba", "hidden_size": 8}')
    with pytest.raises(NoPlan, match="names no num_attention_heads"):
        shape_of(str(tmp_path / "0"))


@pytest.mark.parametrize(
    ("told", "gpu"),
    [
        ("NVIDIA GB10, [N/A], 12.1", Hardware("NVIDIA GB10", 0, 0, bf16=True)),
        ("NVIDIA H100 80GB HBM3, 81559, 9.0", Hardware("NVIDIA H100 80GB HBM3", 81559 * 2**20, 0, bf16=True)),
        ("Tesla T4, 15360, [N/A]", Hardware("Tesla T4", 15360 * 2**20, 0, bf16=False)),
    ],
)
def test_what_nvidia_smi_does_not_tell_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, gpu: Hardware
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{told}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert replace(find_hardware(), ram_bytes=0) == gpu
    monkeypatch.setenv("POSELLM_SETTINGS", str(tmp_path / "none.yaml"))
    findings = {finding.name: finding for finding in examine(Lake(tmp_path))}
    assert findings["GPU"].ok and gpu.gpu in findings["GPU"].found
    assert findings["training plan"].found.startswith("tiny, full")


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
