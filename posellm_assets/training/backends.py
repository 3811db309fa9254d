"""Which library loads the base model for training: plain transformers ('hf') or Unsloth.

Imports neither until it is asked to: Unsloth patches transformers when it is imported, so it must come first, and only
in the training process. Both give the same kind of model: new token rows, LoRA, loop and decoding are ours for both.

The rule of 'auto': Unsloth where it is installed, imports here and can load the base with isolated packed rows, else
transformers. On a CPU it is parity (import 3.7-4.3 CPU s against 3.6 for transformers and PEFT alone, load 0.1 s, the
same time per step), so the demo pays nothing for it; on CUDA it is faster. Parts of Unsloth are AGPL-3.0: it is
reached through this module only.
"""

import importlib
import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

from posellm_assets.program import Refusal


class BackendUnavailable(Refusal):
    """The backend that was asked for cannot be used here; the message says why and what to do."""


@dataclass(frozen=True)
class Backend:
    """The library in use and the reason for it, for the run's record."""

    name: Literal["hf", "unsloth"]
    reason: str


def choose(wanted: Literal["auto", "hf", "unsloth"]) -> Backend:
    """Choose the backend and import Unsloth where it is the one. Call before anything imports transformers."""
    if wanted == "hf":
        return Backend("hf", "asked for")
    # Unsloth's import otherwise downloads a file of statistics and writes compiled code into the working folder.
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    if importlib.util.find_spec("unsloth") is None:
        problem = "Unsloth is not installed (pip install 'posellm-assets[unsloth]')"
    else:
        try:
            importlib.import_module("unsloth")
            return Backend("unsloth", "asked for" if wanted == "unsloth" else "auto: installed")
        except (ImportError, NotImplementedError, RuntimeError) as error:
            problem = f"Unsloth does not import here: {error}"
    if wanted == "unsloth":
        raise BackendUnavailable(f"{problem}; or set model.backend to 'hf'")
    return Backend("hf", f"auto: {problem}")


def check_quantiser() -> None:
    """Raise BackendUnavailable where bitsandbytes, which keeps a frozen base in 4 bits, cannot be used."""
    try:
        importlib.import_module("bitsandbytes")
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendUnavailable(
            f"4-bit training needs bitsandbytes ({error}): pip install 'posellm-assets[qlora]', or set model.method to "
            "'lora'"
        ) from error
