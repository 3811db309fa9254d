"""Training against the loop of an earlier system on the same model and the same motion. `python bench/training.py`

Claims, in one thread and CPU seconds of the steps alone: at least 10 times the motion-label tokens per second over
three stages, and at least 1.8 times the useful tokens (those of examples, prompts included, padding not counted). The
earlier loop is `earlier_loop.py`: long system prompt, a space between codes, padded batches, float32. Ours is the
program that the graph runs, with its default stages: stage 3 replays motion-to-text, which costs it motion labels that
the earlier loop, which forgets that task, does not pay for.

Codes are real: the motion-capture clips of `mocap.py` (its train split), written by a tokenizer trained for a minute at
most. The two loops take turns, so that a busy machine slows both alike.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

os.environ["OMP_NUM_THREADS"] = "1"

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from earlier_loop import EarlierLoop
from mocap import read_takes, split, write_motions
from rich.console import Console
from rich.table import Table

from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import FINAL
from posellm_assets.language.clips import read_clips
from posellm_assets.language.config import STAGES, ModelConfig, StageConfig, StageJob, TinyConfig
from posellm_assets.language.packing import Rows
from posellm_assets.language.tasks import fit_texts
from posellm_assets.language.train import train
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.train_tokenizer import train as train_tokenizer
from posellm_assets.training.backends import Backend

PARTS, CODES_OF_A_PART = 5, 128
CODES = PARTS * CODES_OF_A_PART
# 3.4 million parameters.
MODEL = TinyConfig(hidden_size=256, attention_heads=8, key_value_heads=4, intermediate_size=768)
SEED, LEARNING_RATE = 0, 2e-3
ROUNDS = 2
EARLIER_CPU_S = 45.0
# In the proportions of the earlier loop's seconds.
STEPS = (30, 42, 48)
MOTION_CLAIM, USEFUL_CLAIM = 10.0, 1.8


@dataclass(frozen=True)
class Speed:
    """What a loop got done per CPU second, over three stages."""

    motion_labels: float
    useful_tokens: float


def quiet(message: str) -> None:
    """Say nothing."""


def write_examples(folder: Path) -> Path:
    """The train clips in codes of a tokenizer made for this bench, as a snapshot holds them."""
    takes = split(read_takes())
    motions = {part: write_motions(getattr(takes, part), folder / part) for part in ("train", "val")}
    config = TokenizerConfig(start="own", codes=CODES_OF_A_PART, steps=200)
    train_tokenizer(
        TokenizerJob(train=motions["train"], held_out=motions["val"], out=folder / "tokenizer", config=config), quiet
    )
    tokenizer = MotionTokenizer.load(folder / "tokenizer" / FINAL)
    rows = [
        {
            "key": take.key,
            "segment": 0,
            "variant": "original",
            "mirrored": False,
            "sport": "mocap",
            "label": take.label,
            "texts": [take.text],
            "codes": codes,
        }
        for take, codes in zip(takes.train, tokenizer.encode_many([take.motion for take in takes.train]), strict=True)
    ]
    path = folder / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), path)
    return path


def earlier(examples: Path) -> Speed:
    """The earlier loop, for so many CPU seconds."""
    pairs = [(clip.views[0].codes, clip.views[0].texts[0]) for clip in read_clips(examples, CODES, PARTS)]
    stages = EarlierLoop(pairs, CODES, MODEL, SEED).train(EARLIER_CPU_S, LEARNING_RATE)
    cpu_s = sum(stage.cpu_s for stage in stages)
    return Speed(
        sum(stage.motion_labels for stage in stages) / cpu_s, sum(stage.useful_tokens for stage in stages) / cpu_s
    )


def ours(examples: Path, folder: Path) -> Speed:
    """The project's program, for so many steps."""
    cpu_s, motion, useful, parent = 0.0, 0, 0, None
    for stage, steps in zip(STAGES, STEPS, strict=True):
        job = StageJob(
            train=examples,
            out=folder / stage.name,
            stage=stage.model_copy(update={"steps": steps}),
            model=ModelConfig(tiny=MODEL, backend="hf"),
            parent=parent,
            codebook_size=CODES,
            codes_per_step=PARTS,
            seed=SEED,
        )
        result = train(job, Backend("hf", "for the bench"), quiet)
        parent = job.out / FINAL
        cpu_s += result["step_cpu_seconds"]
        useful += result["tokens"]
        motion += motion_labels(job.stage, examples, Vocabulary.load(parent))
    return Speed(motion / cpu_s, useful / cpu_s)


def motion_labels(stage: StageConfig, examples: Path, vocabulary: Vocabulary) -> int:
    """How many motion codes the rows of a stage had as labels: its rows are the same when they are drawn again."""
    clips, _ = fit_texts(read_clips(examples, CODES, PARTS), vocabulary, stage.row_tokens)
    rows = Rows(clips, stage, vocabulary, SEED).take(stage.steps * stage.rows_per_batch * stage.batches_per_step)
    codes = set(vocabulary.codes)
    return sum(token in codes for row in rows for example in row for token in example.answer)


def main() -> None:
    """Print both claims; exit 1 where one is missed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        examples = write_examples(Path(name))
        pairs = [(earlier(examples), ours(examples, Path(name) / str(number))) for number in range(ROUNDS)]
    table = Table(title=f"Tokens per CPU second, one thread, {ROUNDS} rounds")
    for column in ("over three stages", "earlier loop", "ours", "ratio", "at least"):
        table.add_column(column, justify="left" if column.startswith("over") else "right")
    missed = False
    for what, kind, claim in (
        ("motion-label tokens", "motion_labels", MOTION_CLAIM),
        ("useful tokens", "useful_tokens", USEFUL_CLAIM),
    ):
        before, now = (mean(getattr(pair[side], kind) for pair in pairs) for side in (0, 1))
        missed |= now / before < claim
        table.add_row(what, f"{before:,.0f}", f"{now:,.0f}", f"{now / before:.2f}", f"{claim:.1f}")
    Console().print(table)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
