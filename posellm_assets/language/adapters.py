"""LoRA on any base: attached to every linear layer but the head, carried from stage to stage, merged at the end.

Of embedding and head only the rows of added tokens are trained (PEFT's `trainable_token_indices`): no old row can move.
With tied weights both ends share the trained rows.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from posellm_assets import files
from posellm_assets.language.config import ModelConfig
from posellm_assets.language.vocabulary import Vocabulary

FOLDER = "adapter"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_ROWS = ".token_adapter.trainable_tokens_delta"
_PREFIX = "base_model.model."


def is_adapted(model: Any) -> bool:
    """Whether `model` carries a LoRA adapter of ours."""
    return hasattr(model, "get_base_model")


def is_tied(model: Any) -> bool:
    """Whether the head shares its weights with the embedding."""
    return bool(model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr())


def attach(model: Any, config: ModelConfig, vocabulary: Vocabulary, seed: int) -> Any:
    """Freeze `model`; train LoRA on every linear layer and, of embedding and head, the added tokens' rows only."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    embedding = _name_of(model, model.get_input_embeddings())
    head = _name_of(model, model.get_output_embeddings())
    return get_peft_model(
        model,
        LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules="all-linear",
            trainable_token_indices=dict.fromkeys(
                [embedding] if is_tied(model) else [embedding, head], vocabulary.added
            ),
            task_type="CAUSAL_LM",
        ),
    )


def base_of(folder: Path, config: ModelConfig) -> str | None:
    """The base on which training continues with the adapter of a finished model, or None where a new adapter is due.

    None where the model has no adapter, or one of other rank or alpha, or one of a base other than `config.base` (or of
    the built-in one, which is kept nowhere): its merged weights are then what the new adapter is trained on.
    """
    if config.method == "full" or config.base == "tiny" or not (folder / FOLDER / _CONFIG).is_file():
        return None
    found = files.read_json(folder / FOLDER / _CONFIG)
    same = (found["base_model_name_or_path"], found["r"], found["lora_alpha"])
    return config.base if same == (config.base, config.lora_rank, config.lora_alpha) else None


@torch.no_grad()
def set_rows(model: Any, folder: Path) -> None:
    """Give the added tokens of `model`, which has no adapter yet, the rows that a finished model's adapter trained."""
    indices = files.read_json(folder / FOLDER / _CONFIG)["trainable_token_indices"]
    weights = load_file(folder / FOLDER / _WEIGHTS)
    for name, tokens in indices.items():
        layer = model.get_submodule(name)
        layer.weight[tokens] = weights[f"{_PREFIX}{name}{_ROWS}"].to(layer.weight)


def set_lora(model: Any, folder: Path) -> None:
    """Go on with the LoRA weights that a finished model's adapter trained; the rows in `model` stay as they are."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    weights = load_file(folder / FOLDER / _WEIGHTS)
    lora = {name: weight for name, weight in weights.items() if not name.endswith(_ROWS)}
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    if lora.keys() - own.keys():
        raise ValueError(f"{folder / FOLDER}: {min(lora.keys() - own.keys())} fits no layer of the base model")
    set_peft_model_state_dict(model, own | lora)


def save(model: Any, folder: Path) -> None:
    """Write the adapter, trained rows included, to `folder/adapter`. The embedding itself stays with the base."""
    model.save_pretrained(folder / FOLDER, save_embedding_layers=False)


def _name_of(model: Any, module: Any) -> str:
    return next(name for name, candidate in model.named_modules() if candidate is module)
