"""The vision-language model: building the tiny one, loading Qwen2.5-VL or Qwen3-VL, LoRA, the finished folder.

A finished model is a plain Hugging Face folder with a file beside it that says what it is shown and asked
(`vision_recogniser.json` where it names actions).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerBase, Qwen3VLConfig
from transformers.models.qwen3_vl import Qwen3VLForConditionalGeneration
from transformers.utils import cached_file, logging

from posellm_assets import files
from posellm_assets.language.adapters import FOLDER as ADAPTER
from posellm_assets.language.adapters import is_adapted
from posellm_assets.language.bases import UnsupportedModel, base_config, read_text_tokenizer
from posellm_assets.language.vocabulary import tiny_tokenizer
from posellm_assets.training.backends import Backend, BackendUnavailable
from posellm_assets.vision.config import TinyVisionConfig, VisionModelConfig

KINDS = ("qwen2_5_vl", "qwen3_vl")
PREPROCESSOR = "preprocessor_config.json"
_VISION_TOKENS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
# The chat format of Qwen, for conversations without pictures: those are put in afterwards.
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Of the built-in model's first weights. With the 0.02 of large models, layers this narrow pass on next to nothing of
# what they read, and the model does not learn even which way a square moves.
_SPREAD = 0.1

logging.disable_progress_bar()


@dataclass(frozen=True)
class LoadedVision:
    """A vision-language model with its tokenizer and what its pictures are normalised by (three colours each)."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    backend: Backend

    @property
    def inner(self) -> Any:
        """The model itself, its adapter left in place."""
        return self.model.get_base_model() if is_adapted(self.model) else self.model


def build_tiny(config: TinyVisionConfig, texts: list[str], seed: int, folder: Path) -> None:
    """Write a randomly initialised small Qwen3-VL to `folder`, its tokenizer trained on `texts`."""
    tokenizer = tiny_tokenizer(texts, config.text_tokens)
    tokenizer.add_tokens(_VISION_TOKENS, special_tokens=True)
    tokenizer.chat_template = _CHAT
    tokenizer.eos_token = "<|im_end|>"
    token = tokenizer.convert_tokens_to_ids
    head_size = config.hidden_size // config.attention_heads
    # A quarter of the rotary frequencies for time, the rest for height and width.
    sections = [head_size // 2 - 2 * (head_size // 6), head_size // 6, head_size // 6]
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={
                "initializer_range": _SPREAD,
                "vocab_size": -(-len(tokenizer) // 64) * 64,
                "hidden_size": config.hidden_size,
                "intermediate_size": 2 * config.hidden_size,
                "num_hidden_layers": config.layers,
                "num_attention_heads": config.attention_heads,
                "num_key_value_heads": config.attention_heads,
                "head_dim": head_size,
                "max_position_embeddings": 4096,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 1e4,
                    "mrope_section": sections,
                    "mrope_interleaved": True,
                },
                "tie_word_embeddings": True,
                "pad_token_id": tokenizer.pad_token_id,
                "eos_token_id": token("<|im_end|>"),
                "bos_token_id": None,
            },
            vision_config={
                "initializer_range": _SPREAD,
                "depth": config.vision_layers,
                "hidden_size": config.vision_size,
                "intermediate_size": 2 * config.vision_size,
                "num_heads": 4,
                "patch_size": config.patch_px,
                "spatial_merge_size": config.merge,
                "temporal_patch_size": 2,
                "out_hidden_size": config.hidden_size,
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0],
            },
            image_token_id=token("<|image_pad|>"),
            video_token_id=token("<|video_pad|>"),
            vision_start_token_id=token("<|vision_start|>"),
            vision_end_token_id=token("<|vision_end|>"),
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / PREPROCESSOR, {"image_mean": [0.5] * 3, "image_std": [0.5] * 3})


def load(source: str, backend: Backend, dtype: torch.dtype, device: torch.device) -> LoadedVision:
    """Load the vision-language model `source` (folder or id).

    Raises UnsupportedModel where it is no Qwen2.5-VL or Qwen3-VL model or is incomplete, BackendUnavailable where
    Unsloth was asked for by name and cannot load it.
    """
    config = base_config(source)
    if config.model_type not in KINDS:
        raise UnsupportedModel(
            f"{source} is no vision-language model that can be trained here ({config.model_type}); choose a Qwen2.5-VL "
            "or Qwen3-VL model, such as Qwen/Qwen3-VL-2B-Instruct, or tiny-vl"
        )
    tokenizer = read_text_tokenizer(source, config.text_config)
    found = cached_file(source, PREPROCESSOR, _raise_exceptions_for_missing_entries=False)
    if found is None or not tokenizer.chat_template:
        missing = f"no {PREPROCESSOR}" if found is None else "a tokenizer without a chat template"
        raise UnsupportedModel(f"{source} has {missing}: take the whole repository of an Instruct model")
    pictures = files.read_json(Path(found))
    if backend.name == "unsloth":
        try:
            model = _load_unsloth(source, dtype)
        except (ImportError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            if backend.reason == "asked for":
                raise BackendUnavailable(f"Unsloth cannot load {source}: {error}; set model.backend to 'hf'") from error
            backend = Backend("hf", f"auto: Unsloth cannot load {source}: {error}")
    if backend.name == "hf":
        model = _load_plain(source, dtype)
    mean, deviation = tuple(pictures["image_mean"]), tuple(pictures["image_std"])
    return LoadedVision(model.to(device), tokenizer, mean, deviation, backend)


def load_finished(folder: Path) -> LoadedVision:
    """A model that `save` wrote, to be asked: in bf16 on a CUDA device where there is one. Errors as in `load`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return load(str(folder), Backend("hf", "only asked, not trained"), dtype, device)


def _load_plain(source: str, dtype: torch.dtype) -> Any:
    model, info = AutoModelForImageTextToText.from_pretrained(
        source, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    if info["missing_keys"]:
        raise UnsupportedModel(f"{source} lacks weights that it needs: {min(info['missing_keys'])}, ...")
    return model


def _load_unsloth(source: str, dtype: torch.dtype) -> Any:
    from unsloth import FastVisionModel

    model, _ = FastVisionModel.from_pretrained(
        source,
        dtype=dtype,
        load_in_4bit=False,
        full_finetuning=True,  # LoRA is attached by us, so that both backends train the same weights
        use_gradient_checkpointing=False,
        use_exact_model_name=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return model


def attach_lora(loaded: LoadedVision, config: VisionModelConfig, seed: int) -> LoadedVision:
    """Freeze the model; train LoRA on the linear layers of the language model and of what else `config` names."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    trained = [
        part for part in ("language", "vision", "aligner") if part == "language" or getattr(config, f"train_{part}")
    ]
    targets = [
        name
        for name, module in loaded.model.named_modules()
        if isinstance(module, torch.nn.Linear) and _part(name) in trained
    ]
    model = get_peft_model(
        loaded.model,
        LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=targets,
            task_type="CAUSAL_LM",
        ),
    )
    return LoadedVision(model, loaded.tokenizer, loaded.mean, loaded.deviation, loaded.backend)


def _part(name: str) -> str | None:
    """The part of Qwen2.5-VL or Qwen3-VL that a linear layer belongs to; None for the head, which stays as it is."""
    if ".visual." in f".{name}":
        return "aligner" if "merger" in name else "vision"
    return "language" if ".layers." in name else None


def save(loaded: LoadedVision, folder: Path) -> None:
    """Write a trained model as a plain folder, LoRA merged; the adapter alone is kept under `adapter/`."""
    model = loaded.model
    if is_adapted(model):
        model.save_pretrained(folder / ADAPTER)
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    files.write_json(folder / PREPROCESSOR, {"image_mean": list(loaded.mean), "image_std": list(loaded.deviation)})
