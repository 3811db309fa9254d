"""Small base models of four families as one finds them: own configuration class, own tokenizer rules, a folder.

They are randomly initialised and have never heard of motion. What sets the families apart is kept: OPT's projections
around a narrow embedding, its offset positions and its start token that is also its end; Qwen3's chat template and tied
head; Gemma's scaled and tied embedding, byte fallback and several ends of text; Llama 3's untied head, missing pad and
several ends. Tests build them too.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaTokenizer,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

_TEXTS = ["a person does a squat and a lunge", "a tennis player serves with the right hand", "the knees bend 3 times"]
_SIZE = 420
_POSITIONS = 512


def _bpe(special: list[str], byte_level: bool) -> tuple[dict[str, int], list[Any]]:
    """Vocabulary and merges of a byte-level BPE, or of one over characters with a token for each byte."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=not byte_level))
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        special, alphabet = [*special, *(f"<0x{byte:02X}>" for byte in range(256))], []
    trainer = trainers.BpeTrainer(
        vocab_size=_SIZE, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    content = json.loads(tokenizer.to_str())["model"]
    return content["vocab"], [tuple(merge) for merge in content["merges"]]


def _opt(hidden: int, layers: int) -> tuple[Any, Any]:
    vocabulary, merges = _bpe(["<s>", "<pad>", "</s>", "<unk>"], byte_level=True)
    ends = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, **ends)
    config = OPTConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        ffn_dim=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        word_embed_proj_dim=hidden // 2,
        do_layer_norm_before=False,
        max_position_embeddings=_POSITIONS,
        dropout=0.0,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    return OPTForCausalLM(config), tokenizer


def _shape(vocabulary: dict[str, int], hidden: int, layers: int) -> dict[str, Any]:
    return {
        "vocab_size": len(vocabulary),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": hidden // 2,
        "max_position_embeddings": _POSITIONS,
    }


def _qwen3(hidden: int, layers: int) -> tuple[Any, Any]:
    vocabulary, merges = _bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], byte_level=True)
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=merges, eos_token="<|im_end|>", extra_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    shape = _shape(vocabulary, hidden, layers)
    # Like the published ones, it has more rows than its tokenizer has tokens.
    shape["vocab_size"] += 20
    return Qwen3ForCausalLM(
        Qwen3Config(**shape, tie_word_embeddings=True, bos_token_id=0, eos_token_id=2, pad_token_id=0)
    ), tokenizer


def _gemma(hidden: int, layers: int) -> tuple[Any, Any]:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    vocabulary, merges = _bpe(special, byte_level=False)
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, extra_special_tokens=special[-2:])
    config = Gemma3TextConfig(
        **_shape(vocabulary, hidden, layers),
        query_pre_attn_scalar=hidden // 2,
        sliding_window=64,
        layer_types=["sliding_attention"] * (layers - 1) + ["full_attention"],
        bos_token_id=2,
        eos_token_id=[1, 6],
        pad_token_id=0,
    )
    return Gemma3ForCausalLM(config), tokenizer


def _llama(hidden: int, layers: int) -> tuple[Any, Any]:
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    vocabulary, merges = _bpe(special, byte_level=True)
    fast = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.post_processor = TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        extra_special_tokens=["<|eot_id|>"],
    )
    shape = _shape(vocabulary, hidden, layers)
    return LlamaForCausalLM(
        LlamaConfig(**shape, tie_word_embeddings=False, bos_token_id=0, eos_token_id=[1, 2], pad_token_id=None)
    ), tokenizer


FAMILIES: dict[str, Callable[[int, int], tuple[Any, Any]]] = {
    "opt": _opt,
    "qwen3": _qwen3,
    "gemma3": _gemma,
    "llama": _llama,
}


def write_base(family: str, folder: Path, hidden: int = 32, layers: int = 2) -> Path:
    """Write a small randomly initialised model of `family` with its tokenizer to `folder`."""
    torch.manual_seed(0)
    model, tokenizer = FAMILIES[family](hidden, layers)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
