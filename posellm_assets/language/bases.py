"""Which base models can be trained here: a look at the folder or repository before any weights are loaded.

Weights are read from safetensors and code from nowhere: a model that needs either otherwise is refused with what to do.
"""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from posellm_assets.language.config import Method
from posellm_assets.program import Refusal

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_CONVERT = "make it into a folder once with `posellm import base {file} --out FOLDER`, and name that"


class UnsupportedModel(Refusal):
    """A base model that this room cannot train correctly; the message says what it does differently."""


def read_base_config(source: str, method: Method) -> Any:
    """The configuration of the causal language model `source` (folder or Hugging Face id).

    Raises UnsupportedModel where `source` is no such model, is an adapter, brings its own code, has pickled weights
    only, is quantised in a way that `method` cannot train, or is not there.
    """
    config = base_config(source)
    kind = config.model_type
    if hasattr(config, "vision_config") or hasattr(config, "audio_config"):
        raise UnsupportedModel(f"{source} reads pictures or sound ({kind}); choose a text-only base, e.g. gemma3_text")
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
        raise UnsupportedModel(
            f"{source} is no causal language model ({kind}); choose a decoder such as OPT, Qwen3, Gemma or Llama"
        )
    _check_quantisation(source, getattr(config, "quantization_config", None), method)
    return config


def base_config(source: str) -> Any:
    """The configuration of a model of any kind (folder or Hugging Face id).

    Raises UnsupportedModel where it is an adapter, brings its own code, has pickled weights only, or is not there.
    """
    folder = Path(source)
    if source.lower().endswith(".gguf"):
        raise UnsupportedModel(f"{source} is a GGUF file: {_CONVERT.format(file=source)}")
    if folder.is_dir():
        _check_folder(folder)
    elif folder.is_absolute() or source.startswith(("./", "../", "~")) or source.count("/") > 1:
        raise UnsupportedModel(f"{source}: there is no such folder")
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise UnsupportedModel(
                f"{source} brings Python code of its own, which is not run here; choose a base of an architecture that "
                "transformers knows"
            ) from error
        raise UnsupportedModel(
            f"{source}: its configuration cannot be read ({_first_line(error)}). Check the name; a gated model needs "
            "HF_TOKEN in the environment, a machine without network a local folder"
        ) from error


def read_text_tokenizer(source: str, config: Any) -> PreTrainedTokenizerBase:
    """The base's own tokenizer, with the end of text taken from `config` where the tokenizer names none.

    Raises UnsupportedModel where there is no tokenizer, or neither names an end of text.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UnsupportedModel(f"{source}: its tokenizer cannot be read ({_first_line(error)})") from error
    if tokenizer.eos_token_id is None:
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        if ends[0] is None or ends[0] >= len(tokenizer):
            raise UnsupportedModel(
                f"{source}: neither its tokenizer nor its configuration names an end of text; set eos_token in its "
                "tokenizer_config.json"
            )
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    return tokenizer


def _check_folder(folder: Path) -> None:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise UnsupportedModel(f"{folder} is an adapter and no whole model: merge it into its base first")
    if (file := min(folder.glob("*.gguf"), default=None)) and not any(folder.glob("*.safetensors")):
        raise UnsupportedModel(f"{folder} has its weights in {file.name}: {_CONVERT.format(file=file)}")
    if not (folder / "config.json").is_file():
        raise UnsupportedModel(f"{folder} holds no config.json: it is not a model in the Hugging Face layout")
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise UnsupportedModel(
            f"{folder} has its weights in {pickled[0]} only. Such files can run code when they are opened, so they are "
            "not read here: take the model's safetensors version, or convert it on a machine where you trust it with "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)"
        )
    raise UnsupportedModel(f"{folder} holds no *.safetensors: the weights are missing")


def _check_quantisation(source: str, quantisation: Any, method: Method) -> None:
    if quantisation is None:
        return
    settings = quantisation if isinstance(quantisation, dict) else quantisation.to_dict()
    kind = settings.get("quant_method", "unknown")
    if str(getattr(kind, "value", kind)) != "bitsandbytes" or not settings.get("load_in_4bit"):
        raise UnsupportedModel(f"{source} is quantised ({kind}), which cannot be trained on here; choose its original")
    if method != "qlora":
        raise UnsupportedModel(f"{source} is quantised to 4 bits: set model.method to 'qlora', or choose its original")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
