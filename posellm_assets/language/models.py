"""The language model: building the tiny base, loading any causal language model, new token rows, the finished folder.

A finished model is a plain Hugging Face folder with the vocabulary beside it, whatever made it, so that the next stage,
the next generation and decoding all load it in one way.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging

from posellm_assets.language import adapters
from posellm_assets.language.adapters import is_adapted, is_tied
from posellm_assets.language.bases import UnsupportedModel, read_base_config
from posellm_assets.language.config import ModelConfig, TinyConfig
from posellm_assets.language.packing import isolates
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.backends import Backend, BackendUnavailable, check_quantiser

_ROWS_MULTIPLE = 64
# On a CPU plain matrix products train a tenth faster than torch's fused attention, as long as rows are short.
_EAGER_ROW_TOKENS = 512

# Bars of transformers would fill the run's log with lines that say nothing.
logging.disable_progress_bar()


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model ready to train: `masked` says that its packed rows need an explicit mask to be isolated."""

    model: Any
    backend: Backend
    masked: bool


def build_tiny(config: TinyConfig, vocabulary: Vocabulary, seed: int, folder: Path) -> None:
    """Write a randomly initialised small Qwen3 (tied embeddings) and the vocabulary to `folder`."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=-(-len(vocabulary) // _ROWS_MULTIPLE) * _ROWS_MULTIPLE,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.attention_heads,
            num_key_value_heads=config.key_value_heads,
            head_dim=config.head_size,
            max_position_embeddings=config.max_positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=vocabulary.end_of_text,
            pad_token_id=vocabulary.pad,
        )
    )
    model.save_pretrained(folder)
    vocabulary.save(folder)


def load(
    source: str, config: ModelConfig, backend: Backend, row_tokens: int, dtype: torch.dtype, device: torch.device
) -> LoadedModel:
    """Load the causal language model `source` (folder or id) for training and check that we can train it right.

    Raises BackendUnavailable where Unsloth was asked for by name and cannot load it or 4 bits need a library that is
    not there, UnsupportedModel where the base cannot be trained here (see `bases`) or its head or attention is not what
    packing and the sliced head rely on.
    """
    read_base_config(source, config.method)
    if config.method == "qlora":
        check_quantiser()
    if backend.name == "unsloth":
        try:
            model = _load_unsloth(source, config, row_tokens, dtype)
            return LoadedModel(model, backend, _needs_mask(model.to(device), source, row_tokens))
        except (ImportError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            if config.backend == "unsloth":
                raise BackendUnavailable(f"Unsloth cannot load {source}: {error}; set model.backend to 'hf'") from error
            backend = Backend("hf", f"auto: Unsloth cannot load {source}: {error}")
    model = load_plain(source, dtype, quantised=config.method == "qlora").to(device)
    if device.type == "cpu" and row_tokens <= _EAGER_ROW_TOKENS:
        model.set_attn_implementation("eager")
    return LoadedModel(model, backend, _needs_mask(model, source, row_tokens))


def load_plain(source: str, dtype: torch.dtype, quantised: bool = False) -> Any:
    """The model `source` through transformers, its linear layers in 4 bits where `quantised`.

    4 bits are NormalFloat with double quantisation (QLoRA, Dettmers et al. 2023); embedding, head and norms stay as
    they are. Raises UnsupportedModel where the weights are not in safetensors or not all there.
    """
    four_bits = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            quantization_config=BitsAndBytesConfig(load_in_4bit=True, **four_bits) if quantised else None,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except OSError as error:
        raise UnsupportedModel(
            f"{source}: no weights in safetensors ({str(error).splitlines()[0]}); other formats can run "
            "code when they are opened and are not read here"
        ) from error
    if info["missing_keys"]:
        raise UnsupportedModel(f"{source} lacks weights that a language model needs: {min(info['missing_keys'])}, ...")
    return _steady(model)


def add_token_rows(model: Any, vocabulary: Vocabulary, tokens: Sequence[int], seed: int) -> None:
    """Give `tokens`, which the model does not know, rows in the embedding and the head, drawn like the old ones.

    Rows of other tokens keep their values. Each new row is normal with the mean and deviation of the old rows. So are
    rows that only fill up the matrix: they count in every softmax too.
    """
    before = model.get_input_embeddings().weight.shape[0]
    _make_room(model, vocabulary)
    filling = range(max(before, len(vocabulary)), model.get_input_embeddings().weight.shape[0])
    drawn = [*tokens, *filling]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in _token_layers(model):
            old = layer.weight[: min(tokens)].float()
            noise = torch.randn(len(drawn), old.shape[1], generator=generator).to(old.device)
            layer.weight[drawn] = (old.mean(0) + noise * old.std(0)).to(layer.weight.dtype)


def place_codes(model: Any, vocabulary: Vocabulary, vectors: np.ndarray, seed: int) -> None:
    """Give the code tokens rows that lie to one another as the tokenizer's code vectors (codebook_size, D) do.

    A random projection of the vectors keeps their distances (Johnson and Lindenstrauss 1984); it gets the mean and
    deviation of the text tokens' rows. Each code occurs seldom in a few hundred clips, and so what is learned of one
    serves those beside it from the start. Each place in a step has a projection of its own: a left arm's codes are the
    vectors of a right one's, and those of a leg lie in another space.
    """
    text_rows = min(vocabulary.added)
    generator = torch.Generator().manual_seed(seed)
    by_place = torch.from_numpy(vectors.copy()).unflatten(0, (vocabulary.codes_per_step, -1))
    by_place = by_place - by_place.mean(1, keepdim=True)
    directions = by_place / by_place.std((1, 2), keepdim=True)
    places, _, size = directions.shape
    with torch.no_grad():
        for layer in _token_layers(model):
            old = layer.weight[:text_rows].float()
            projections = torch.randn(places, size, old.shape[1], generator=generator) / size**0.5
            rows = old.mean(0) + (directions @ projections).flatten(0, 1).to(old.device) * old.std(0)
            layer.weight[vocabulary.codes] = rows.to(layer.weight.dtype)


def _token_layers(model: Any) -> list[Any]:
    """The embedding and, where it has rows of its own, the head."""
    return (
        [model.get_input_embeddings()]
        if is_tied(model)
        else [model.get_input_embeddings(), model.get_output_embeddings()]
    )


def save(model: Any, vocabulary: Vocabulary, folder: Path) -> None:
    """Write a trained model as a plain folder, LoRA merged; the adapter alone is kept under `adapter/`.

    A 4-bit base is merged into as it was trained on: its quantised weights, written out in full.
    """
    if is_adapted(model):
        adapters.save(model, folder)
        inner = model.get_base_model()
        if getattr(inner, "is_loaded_in_4bit", False):
            model = _in_full(inner, vocabulary, folder)
        else:
            model = model.merge_and_unload()
    model.config.use_cache = True
    ends = model.generation_config.eos_token_id
    own = [vocabulary.end_of_text, vocabulary.end]
    model.generation_config.eos_token_id = sorted({*own, *(ends if isinstance(ends, list) else [ends or own[0]])})
    model.generation_config.pad_token_id = vocabulary.pad
    model.save_pretrained(folder)
    vocabulary.save(folder)


def body(model: Any) -> Any:
    """The part of a causal language model that turns ids into hidden states, adapters included."""
    return (model.get_base_model() if is_adapted(model) else model).base_model


def logits(model: Any, hidden: torch.Tensor, rows: slice | None = None) -> torch.Tensor:
    """(..., size) hidden states to (..., vocabulary) float32 logits, or to those of a slice of the head's rows."""
    inner = model.get_base_model() if is_adapted(model) else model
    head = inner.get_output_embeddings()
    if rows is None:
        scores = head(hidden).float()
    elif type(head) is not torch.nn.Linear:  # an adapter's, whose new rows are no part of its weight
        scores = head(hidden)[..., rows].float()
    else:
        bias = None if head.bias is None else head.bias[rows]
        scores = functional.linear(hidden, head.weight[rows], bias).float()
    cap = getattr(inner.config, "final_logit_softcapping", None)
    return torch.tanh(scores / cap) * cap if cap else scores


@torch.no_grad()
def check_head(model: Any, source: str) -> None:
    """Raise UnsupportedModel where hidden states and head do not give the model's own logits."""
    ids = torch.arange(8, device=next(model.parameters()).device)[None]
    expected = model(input_ids=ids, use_cache=False).logits.float()
    got = logits(model, body(model)(input_ids=ids, use_cache=False).last_hidden_state)
    # Rows beyond the vocabulary may be masked with -inf by some models; bf16 weights differ in the third digit.
    if not torch.allclose(got, expected, atol=0.02 * float(expected.std()) + 1e-5, rtol=0.02):
        raise UnsupportedModel(f"{source}: its head is more than a matrix product and a soft cap; choose another base")


@torch.no_grad()
def _looks_ahead(model: Any) -> bool:
    """Whether the second half of a text changes what is computed for the first."""
    ids = torch.arange(8, device=next(model.parameters()).device)[None]
    before, after = (
        body(model.eval())(input_ids=tokens, use_cache=False).last_hidden_state[:, :4].float()
        for tokens in (ids, torch.cat([ids[:, :4], ids[:, :4]], 1))
    )
    return float((before - after).abs().max()) > 1e-3 * float(before.std())


def _needs_mask(model: Any, source: str, row_tokens: int) -> bool:
    """Whether packed rows need the explicit mask, measured in training mode as the loop will run it."""
    if _looks_ahead(model):
        raise UnsupportedModel(f"{source} looks ahead, as encoders do, and so cannot write; choose a decoder")
    check_head(model, source)
    positions = getattr(model.config, "max_position_embeddings", None) or row_tokens
    if positions < row_tokens:
        raise UnsupportedModel(
            f"{source} reads at most {positions} tokens: set row_tokens of the stage to that or less"
        )
    model.train()
    size = model.get_input_embeddings().weight.shape[0]
    for masked in (False, True):
        if isolates(body(model), size, masked):
            return masked
    raise UnsupportedModel(f"{source}: its attention does not keep packed examples apart; choose another base")


def _load_unsloth(source: str, config: ModelConfig, row_tokens: int, dtype: torch.dtype) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        source,
        max_seq_length=row_tokens,
        dtype=dtype,
        load_in_4bit=config.method == "qlora",
        full_finetuning=config.method == "full",
        use_gradient_checkpointing=False,
        use_exact_model_name=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return _steady(model)


def _steady(model: Any) -> Any:
    """Keep 4-bit weights as they are: on a CPU bitsandbytes else re-encodes them, in bf16 and in place, to evaluate."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _in_full(quantised: Any, vocabulary: Vocabulary, folder: Path) -> Any:
    """The 4-bit base of a trained model with its weights written out and the adapter of `folder` merged in."""
    from peft import PeftModel

    source, dtype = quantised.name_or_path, quantised.dtype
    base = load_plain(source, dtype, quantised=True).dequantize().to(quantised.device)
    _make_room(base, vocabulary)
    return PeftModel.from_pretrained(base, folder / adapters.FOLDER).merge_and_unload()


def _make_room(model: Any, vocabulary: Vocabulary) -> None:
    """Rows for all of the vocabulary in embedding and head. Many bases have more rows than tokens; those stay."""
    if model.get_input_embeddings().weight.shape[0] < len(vocabulary):
        model.resize_token_embeddings(len(vocabulary), pad_to_multiple_of=_ROWS_MULTIPLE, mean_resizing=False)
