"""Small vision-language models of both kinds, and a job that trains the built-in one on moving squares."""

from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from posellm_assets.actions.config import ActionJob
from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.sources import from_folders
from posellm_assets.actions.dataset.writing import write_dataset
from posellm_assets.training.backends import Backend
from posellm_assets.vision.config import FramesConfig, TinyVisionConfig
from posellm_assets.vision.model import LoadedVision, build_tiny, load
from posellm_assets_tests.unit.actions.clips import InProcess, write_tree

HF = Backend("hf", "asked for")
FRAMES = FramesConfig(count=4, size_px=32)
TINY = TinyVisionConfig(
    patch_px=8, merge=2, vision_size=32, hidden_size=48, layers=2, attention_heads=2, text_tokens=300
)
TEXTS = ["Which way does it go?", "up", "down", "left", "right", "upwards"]


def loaded(folder: Path) -> LoadedVision:
    return load(str(folder), HF, torch.float32, torch.device("cpu"))


def tiny_qwen3(folder: Path) -> LoadedVision:
    build_tiny(TINY, TEXTS, 0, folder)
    return loaded(folder)


def tiny_qwen2_5(folder: Path) -> LoadedVision:
    """A Qwen2.5-VL of the built-in model's size, with its tokenizer."""
    own = tiny_qwen3(folder)
    text = own.model.config.text_config.to_dict()
    config = Qwen2_5_VLConfig(
        text_config={
            **{name: text[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "eos_token_id")},
            **{name: text[name] for name in ("num_attention_heads", "num_key_value_heads", "pad_token_id")},
            "num_hidden_layers": 2,
            "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 4, 4]},
        },
        vision_config={
            **{"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": 8},
            **{"out_hidden_size": 48, "fullatt_block_indexes": [1], "window_size": 32},
        },
        **{name: getattr(own.model.config, name) for name in ("image_token_id", "video_token_id")},
        **{name: getattr(own.model.config, name) for name in ("vision_start_token_id", "vision_end_token_id")},
    )
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return loaded(folder)


BUILDERS = {"qwen3_vl": tiny_qwen3, "qwen2_5_vl": tiny_qwen2_5}


def job(folder: Path, name: str, training: dict[str, Any], model: dict[str, Any] | None = None) -> ActionJob:
    """A job in `folder/name` on the squares of `folder/data`, which are made if they are not there."""
    data = folder / "data"
    if not data.exists():
        found = from_folders(write_tree(folder / "tree", 12), "ways")
        write_dataset(data, found.examples, found.refused, found.label_set, DatasetConfig(), InProcess(), seed=0)
    shape = {"frames": FRAMES.model_dump(), "tiny": TINY.model_dump(), "precision": "float32", **(model or {})}
    settings = {"learning_rate": 3e-3, "clips_per_batch": 4, "batches_per_step": 1, "evaluations": 4, **training}
    return ActionJob.model_validate({"dataset": data, "out": folder / name, "model": shape, "training": settings})
