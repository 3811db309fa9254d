"""A pretrained text encoder, such as all-MiniLM-L6-v2: how near prompts are to what was taught by what they mean.

The mean of a text's token states, over its length (Sentence-BERT, Reimers and Gurevych, EMNLP 2019). Loaded with
transformers alone, from safetensors, without code of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from posellm_assets.texts.nearest import Similarity

_BATCH = 64
_MAX_TOKENS = 128


class SentenceEncoder:
    """Texts to unit vectors; as `compare` of `Nearest`, how near texts are to each other."""

    def __init__(self, tokenizer: Any, model: Any):
        self._tokenizer, self._model = tokenizer, model.eval()

    @classmethod
    def load(cls, source: str) -> "SentenceEncoder":
        """The encoder of a Hugging Face id or a local folder; ValueError where there is none that can be read."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                source, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ValueError(
                f"language.text_encoder {source!r} cannot be read: it is a Hugging Face id, or a folder with "
                f"config.json, the tokenizer and *.safetensors ({str(error).splitlines()[0]})"
            ) from error
        return cls(tokenizer, model)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32 unit vectors."""
        parts = []
        for start in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            )
            states = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(states.dtype)
            parts.append(functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1))
        return torch.cat(parts).numpy()

    def __call__(self, texts: Sequence[str], movements: Sequence[str], languages: Sequence[str]) -> Similarity:
        """How near prompts are to `texts`: the cosine, 0 where that is negative."""
        vectors = self.embed(texts)
        return lambda prompts: np.clip(self.embed(prompts) @ vectors.T, 0.0, 1.0)
