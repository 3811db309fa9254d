"""Small examples and models for the tests of the language room."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from posellm_assets.language.clips import TrainingClip, View
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob, TinyConfig
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.skeletons import Skeleton
from posellm_assets.motion.tokenizer import MotionTokenizer, Network

CODEBOOK_SIZE = 24
LABELS = ("squat", "serve", "lunge")
SMALL = TinyConfig(
    hidden_size=32, layers=2, attention_heads=2, key_value_heads=1, head_size=16, intermediate_size=64, text_tokens=320
)
TORSO = Skeleton(
    name="torso",
    joints=("pelvis", "left_hip", "right_hip", "neck", "left_shoulder", "right_shoulder"),
    parents=(-1, 0, 0, 0, 3, 3),
    mirror_pairs=((1, 2), (4, 5)),
    hips=(1, 2),
    shoulders=(4, 5),
    feet=(),
)
"""A body of one part, which so has one code for a step."""
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("segment", pa.int64()),
        ("variant", pa.string()),
        ("mirrored", pa.bool_()),
        ("sport", pa.string()),
        ("label", pa.string()),
        ("participant", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("codes", pa.list_(pa.int32())),
    ]
)


def examples(path: Path, clips_per_label: int = 4, variants: int = 2, seed: int = 0, **changes: Any) -> Path:
    """Write clips whose codes walk through a range of their own per label, with noise; `changes` go into each row."""
    generator = random.Random(seed)
    rows = []
    for place, label in enumerate(LABELS):
        for clip in range(clips_per_label):
            for variant in range(variants):
                codes = [8 * place + (step + variant) % 8 for step in range(generator.randint(8, 14))]
                codes[generator.randrange(len(codes))] = generator.randrange(CODEBOOK_SIZE)
                rows.append(
                    {
                        "key": f"gym.{label}-{clip}.{place:04x}{clip:04x}",
                        "segment": 0,
                        "variant": "original" if variant == 0 else f"speed-{variant}",
                        "mirrored": False,
                        "sport": "gym",
                        "label": label,
                        "participant": f"p{clip}",
                        "texts": [label, f"{label}: the knees bend {generator.randint(2, 9)} times"],
                        "codes": codes,
                        **changes,
                    }
                )
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)
    return path


def save_tokenizer(folder: Path) -> str:
    """Write an untrained tokenizer of CODEBOOK_SIZE codes, one for every four frames of TORSO; its lineage."""
    config = TokenizerConfig(codes=CODEBOOK_SIZE, layers=1, frames_per_step=4, code_size=8, width=16)
    network = Network(TORSO, config)
    torch.nn.init.normal_(network.kinds["trunk"].quantizer.layers[0].embed)
    return MotionTokenizer(network, config, TORSO, 20.0, (), seed=0).save(folder)


def vocabulary() -> Vocabulary:
    return Vocabulary(tiny_tokenizer([f"{label}: the knees bend" for label in LABELS], 320), CODEBOOK_SIZE)


def clip(codes: list[int], texts: tuple[str, ...] = ("squat",), key: str = "gym.a.00000000") -> TrainingClip:
    return TrainingClip(key, "squat", (View(tuple(codes), texts),))


def stage(**changes: Any) -> StageConfig:
    settings: dict[str, Any] = {
        "name": "stage2",
        "tasks": {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2},
        "steps": 20,
        "row_tokens": 64,
        "rows_per_batch": 2,
    }
    return StageConfig.model_validate(settings | changes)


def job(folder: Path, out: str = "out", stage_changes: dict[str, Any] | None = None, **changes: Any) -> StageJob:
    """A job on the examples of `folder` (written where they are not there yet) with the small built-in base."""
    train, val = folder / "train.parquet", folder / "val.parquet"
    if not train.is_file():
        examples(train)
        examples(val, clips_per_label=1, variants=1, seed=1)
    settings: dict[str, Any] = {
        "train": train,
        "val": val,
        "out": folder / out,
        "stage": stage(**stage_changes or {}),
        "model": ModelConfig(tiny=SMALL, backend="hf"),
        "codebook_size": CODEBOOK_SIZE,
    }
    return StageJob.model_validate(settings | changes)
