"""A pretrained model in a GGUF file, made into a folder that training starts from."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.bases import write_base
from posellm_assets.language.bases import UnsupportedModel, base_config, read_base_config, read_text_tokenizer
from posellm_assets.language.formats.gguf import convert_gguf


def write_gguf(base: Path, file: Path, end_of_text: int) -> Path:
    """The Qwen3 in the folder `base` as llama.cpp's converter writes it, in float32."""
    gguf = pytest.importorskip("gguf", reason="pip install '.[gguf]'")
    pytest.importorskip("accelerate", reason="pip install '.[gguf]'")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    config = model.config
    writer = gguf.GGUFWriter(file, "qwen3")
    writer.add_name("small")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    content = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
    tokens = [token for token, _ in sorted(content.items(), key=lambda item: item[1])]
    special = set(tokenizer.all_special_ids)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens + [f"[PAD{number}]" for number in range(len(tokens), config.vocab_size)])
    writer.add_token_types([3 if number in special else 1 for number in range(config.vocab_size)])
    writer.add_token_merges(merges_of(tokenizer))
    writer.add_eos_token_id(end_of_text)
    writer.add_pad_token_id(0)
    parts = {"self_attn": "attn", "mlp": "ffn", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    parts |= {"q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "output"}
    parts |= {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"}
    for name, tensor in model.state_dict().items():
        _, kind, *rest = name.split(".")
        if kind == "layers":
            number, *inner, _ = rest
            stored = f"blk.{number}.{'_'.join(parts.get(part, part) for part in inner)}.weight"
        else:
            stored = {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight"}.get(kind, "")
        if stored:
            writer.add_tensor(stored, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def merges_of(tokenizer: object) -> list[str]:
    import json

    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]  # type: ignore[attr-defined]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def test_a_gguf_file_becomes_a_folder_with_the_same_logits_and_the_end_that_the_file_names(tmp_path: Path) -> None:
    base = write_base("qwen3", tmp_path / "base", hidden=256)
    file = write_gguf(base, tmp_path / "small.gguf", end_of_text=2)
    convert_gguf(file, tmp_path / "out")
    config = read_base_config(str(tmp_path / "out"), "full")
    tokenizer = read_text_tokenizer(str(tmp_path / "out"), config)
    original = AutoTokenizer.from_pretrained(base)
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.eos_token_id == config.eos_token_id == 2
    text = "a person does a squat"
    assert tokenizer(text).input_ids == original(text).input_ids
    ids = torch.tensor([original(text).input_ids])
    with torch.no_grad():
        logits = [AutoModelForCausalLM.from_pretrained(path)(ids).logits for path in (base, tmp_path / "out")]
    torch.testing.assert_close(logits[1], logits[0], atol=1e-4, rtol=1e-4)


def test_a_file_whose_shape_is_not_read_wholly_is_refused(tmp_path: Path) -> None:
    """Heads of another size than is usual: transformers does not look at it."""
    file = write_gguf(write_base("qwen3", tmp_path / "base"), tmp_path / "small.gguf", end_of_text=2)
    with pytest.raises(UnsupportedModel, match="can be read here"):
        convert_gguf(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="pip install '.[gguf]'")
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(UnsupportedModel, match=r"x\.gguf is no GGUF file of a language model"):
        convert_gguf(tmp_path / "x.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnsupportedModel, match=r"y\.gguf is not a file"):
        convert_gguf(tmp_path / "y.gguf", tmp_path / "out")


@pytest.mark.parametrize("source", ["folder", "folder/small.gguf"])
def test_a_gguf_base_is_refused_with_how_to_convert_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "small.gguf").write_bytes(b"GGUF")
    with pytest.raises(UnsupportedModel, match=r"`posellm import base .*folder/small\.gguf --out FOLDER`"):
        base_config(str(tmp_path / source))
