"""A pretrained model in a GGUF file, made into a folder that can be trained on: weights in full, in safetensors.

Transformers reads such files with the packages gguf and accelerate (`pip install '.[gguf]'`), but writes no folder of
what it read, and may take another token for the end of text than the file names.
"""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from posellm_assets.files import whole_folder
from posellm_assets.language.bases import UnsupportedModel, read_base_config, read_text_tokenizer
from posellm_assets.parquet import short

_NEEDED = ("gguf", "accelerate")
_SPECIAL = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "padding_token_id"}


def convert_gguf(file: Path, out: Path) -> None:
    """Write the model and the tokenizer of a GGUF file to the new folder `out`, for `language.model.base`.

    Raises UnsupportedModel where the file cannot be read, or what it holds cannot be trained on; FileExistsError where
    `out` is there already.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists already; name a new folder")
    if not file.is_file():
        raise UnsupportedModel(f"{file} is not a file")
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise UnsupportedModel(f"{file} cannot be read without {' and '.join(missing)}: pip install '.[gguf]'")
    try:
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        tokenizer.add_special_tokens(_special_tokens(file))
        whole = _in_full(model)
    except Exception as error:  # whatever a damaged file raises
        raise UnsupportedModel(
            f"{file} is no GGUF file of a language model that can be read here ({short(error)})"
        ) from error
    whole.config.eos_token_id = whole.generation_config.eos_token_id = tokenizer.eos_token_id
    with whole_folder(out) as folder:
        whole.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        read_text_tokenizer(str(folder), read_base_config(str(folder), "full"))


def _special_tokens(file: Path) -> dict[str, str]:
    """The special tokens by what they are for, as the file itself names them."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    ids = {use: fields[f"tokenizer.ggml.{key}"].contents() for use, key in _SPECIAL.items() if _has(fields, key)}
    return {use: fields["tokenizer.ggml.tokens"].contents(number) for use, number in ids.items()}


def _has(fields: dict[str, Any], key: str) -> bool:
    return f"tokenizer.ggml.{key}" in fields


def _in_full(model: Any) -> Any:
    """The same model without the mark of a quantised one, whose weights are not written out.

    Raises RuntimeError where its weights do not fit its configuration, as that of some files is not read wholly.
    """
    config = type(model.config)(
        **{key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    )
    with torch.device("meta"):
        whole = type(model)(config)
    whole.load_state_dict(model.state_dict(), assign=True)
    whole.tie_weights()
    return whole
