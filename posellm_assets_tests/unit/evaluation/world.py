"""A small world to evaluate in: motion files of several people, a tokenizer, examples and a model, all of them real."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob, TinyConfig
from posellm_assets.language.train import train as train_stage
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.train_tokenizer import train as train_tokenizer
from posellm_assets.texts.captions import captions_for
from posellm_assets.texts.mirror import mirror_text
from posellm_assets.training.backends import choose
from posellm_assets_tests.unit.texts.athletes import MOVEMENTS

SPORTS = {"squat": "gym", "arm raise": "gym", "march": "drill", "bow": "drill"}
CODES_OF_A_PART = 16
STEPS = {"frames_per_step": 8, "codes_per_step": 5}
CODES = STEPS["codes_per_step"] * CODES_OF_A_PART


def quiet(message: str) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class World:
    """Motion files by key, and who is in them."""

    folder: Path
    motions: dict[str, Path]
    split: dict[str, str]
    label: dict[str, str]

    def keys(self, split: str) -> list[str]:
        return [key for key, of in self.split.items() if of == split]

    def examples(
        self,
        name: str,
        keys: Iterable[str],
        tokenizer: MotionTokenizer | None,
        labelled: bool = True,
        variants: bool = False,
    ) -> Path:
        """Write the examples of `keys`; without a tokenizer the codes are zeros, which an evaluator never looks at."""
        rows = []
        for key in keys:
            motion, sport = Motion.read(self.motions[key]), key.split(".")[0]
            label = self.label[key].replace(" ", "_") if labelled else None
            captions = captions_for(key, motion, sport=sport, label=label, user_captions=[])
            texts = [caption.text for caption in captions.texts]
            views = [("original", motion, texts)]
            if variants:
                views.append(("mirrored", mirror(motion), [mirror_text(text) for text in texts]))
            for variant, view, said in views:
                codes = tokenizer.encode(view) if tokenizer else [0] * (len(view) // 4)
                row = {"key": key, "segment": 0, "variant": variant, "mirrored": variant != "original", "sport": sport}
                person = key.split("-")[-1].split(".")[0]
                rows.append({**row, "label": label, "participant": person, "texts": said, "codes": codes})
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), path)
        return path


def build_world(folder: Path, train: Sequence[str] = "abcde", test: Sequence[str] = "xy") -> World:
    """Every person does every movement once, in their own size, tempo and depth, seen with some noise."""
    rng = random.Random(0)
    motions, split, label = {}, {}, {}
    for person in (*train, *test):
        for movement, (act, depth) in MOVEMENTS.items():
            key = f"{SPORTS[movement]}.{movement.replace(' ', '-')}-{person}.{rng.getrandbits(32):08x}"
            motion = act(
                rng.uniform(3, 5), rng.uniform(1.2, 2.2), depth * rng.uniform(0.8, 1.1), size=rng.uniform(0.9, 1.1),
                noise_m=0.006, seed=rng.randint(0, 999),
            )  # fmt: skip
            path = folder / f"{key}.parquet"
            motion.write(path)
            motions[key], label[key] = path, movement
            split[key] = "train" if person in train else "test"
    return World(folder, motions, split, label)


def build_tokenizer(world: World) -> Path:
    """A small tokenizer trained on the train people."""
    paths = {split: [world.motions[key] for key in world.keys(split)] for split in ("train", "test")}
    out = world.folder / "tokenizer"
    shape = {"start": "own", "codes": CODES_OF_A_PART, "width": 48, "steps": 60, "frames_per_batch": 1024}
    config = TokenizerConfig.model_validate({**shape, "windows": (16, 32, 48)})
    train_tokenizer(TokenizerJob(train=paths["train"], held_out=paths["test"], out=out, config=config), quiet)
    return out / "final"


def build_model(folder: Path, examples: Path) -> Path:
    """A tiny model taught both directions for a few steps."""
    stage = StageConfig(name="stage", tasks={"t2m": 0.5, "m2t": 0.5}, steps=90, row_tokens=160, rows_per_batch=4)
    tiny = TinyConfig(
        hidden_size=64, layers=2, attention_heads=2, key_value_heads=1, intermediate_size=128, text_tokens=400
    )
    job = StageJob(
        train=examples,
        out=folder / "model",
        stage=stage,
        model=ModelConfig(tiny=tiny, backend="hf"),
        codebook_size=CODES,
        codes_per_step=STEPS["codes_per_step"],
    )
    train_stage(job, choose("hf"), quiet)
    return folder / "model" / "final"
