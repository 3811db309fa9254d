"""Exact resume: SIGKILL at random moments of each stage and of the tokenizer, here or on an emptied machine.

Claim: the same command, started again after every SIGKILL, ends with the losses, gradient norms, learning rates and
final weights of a run that was never killed, to the bit: three stages, in full and with LoRA (dropout 0.1), packed
rows, two batches to a step; and the motion tokenizer. A kill comes within 50 ms after a step that is drawn from all.
After every second kill everything but the inputs and the store is gone, so that training goes on from what had been
uploaded. It prints how many restarts found a checkpoint to go on from.

Each command runs in a fork of this process, so that a restart does not load torch again.

    python bench/resume.py [--kills 6] [--seed 0]
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from forks import came_to_its_end, fork

from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import FINAL, LOSSES
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob, TinyConfig
from posellm_assets.language.train import train
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.train_tokenizer import train as train_tokenizer
from posellm_assets.training.backends import Backend

STEPS, CODES = 24, 24
STAGES: dict[str, dict[Any, float]] = {
    "stage1": {"motion": 1.0},
    "stage2": {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2},
    "stage3": {"t2m": 0.6, "m2t": 0.4},
}
TINY = TinyConfig(
    hidden_size=32, layers=2, attention_heads=2, key_value_heads=1, head_size=16, intermediate_size=64, text_tokens=320
)
SAME = ("step", "loss", "grad_norm", "lr")
Work = Callable[[Callable[[str], None]], object]


def write_examples(path: Path) -> Path:
    """Twelve clips of three labels, each with codes of its own."""
    generator = random.Random(0)
    rows = []
    for number in range(12):
        label = ("squat", "serve", "lunge")[number % 3]
        codes = [8 * (number % 3) + generator.randrange(8) for _ in range(generator.randint(8, 14))]
        named = {"participant": f"p{number}", "sport": "gym", "label": label}
        about = {"key": f"gym.{label}.{number:08x}", "segment": 0, "variant": "original", "mirrored": False}
        texts = [label, f"{label}: the knees bend {number} times"]
        rows.append({**about, **named, "texts": texts, "codes": codes})
    pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), path)
    return path


def write_motions(folder: Path) -> list[Path]:
    """Motions of points that swing about their places."""
    paths = []
    for number in range(6):
        generator = np.random.default_rng(number)
        place, swing = generator.normal(0, 0.4, (2, 1, len(BODY), 3))
        wave = np.sin(np.arange(64) / 20 * generator.uniform(2, 6))[:, None, None]
        path = folder / f"walking.swing-{number}.{number:08x}.parquet"
        Motion((place + 0.1 * swing * wave).astype(np.float32), 20.0, BODY, np.zeros(64, bool)).write(path)
        paths.append(path)
    return paths


def in_fork(work: Work, log: Path, losses: Path, kill_at: tuple[int, float] | None) -> bool:
    """Run `work(say)` in a fork whose lines go to `log`; whether it came to its end.

    `kill_at` is a number of lines in the log of losses at which it is killed, and how many seconds later.
    """

    def observed() -> None:
        if kill_at:
            threading.Thread(target=_kill, args=(losses, *kill_at), daemon=True).start()
        with log.open("a") as said:
            work(lambda message: print(message, file=said, flush=True))

    return came_to_its_end(fork(observed), log.read_text)


def _kill(losses: Path, lines: int, later_s: float) -> None:
    while not losses.is_file() or losses.read_bytes().count(b"\n") < lines:
        time.sleep(0.001)
    time.sleep(later_s)
    os.kill(os.getpid(), signal.SIGKILL)


def outcome(out: Path) -> dict[str, Any]:
    """What must be the same: the log but for speeds, and the weights."""
    lines = [json.loads(line) for line in (out / LOSSES).read_text().splitlines()]
    weights = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")}
    kept = {path: content for path, content in weights.items() if not path.parts[0].startswith("checkpoint-")}
    return {"losses": [{name: line[name] for name in SAME if name in line} for line in lines], "weights": kept}


def stage_work(folder: Path, stage: str, method: str, parent: Path | None, hub: bool) -> tuple[Path, Work]:
    """A stage in `folder`, and the same with a store."""
    out = folder / ("killed" if hub else "calm") / method / stage
    job = StageJob(
        train=folder / "train.parquet",
        val=folder / "train.parquet",
        out=out,
        stage=StageConfig(
            **{"name": stage, "tasks": STAGES[stage], "steps": STEPS, "row_tokens": 64, "rows_per_batch": 1},
            **{"batches_per_step": 2, "checkpoint_every": 5},
        ),
        model=ModelConfig.model_validate(
            {"tiny": TINY, "backend": "hf", "method": method, "lora_dropout": 0.1 if method == "lora" else 0.0}
        ),
        parent=parent,
        codebook_size=CODES,
        snapshot="all-0001",
        hub=str(folder / "store" / method / stage) if hub else None,
    )
    return out, lambda say: train(job, Backend("hf", "for the bench"), say)


def tokenizer_work(folder: Path, motions: list[Path], hub: bool) -> tuple[Path, Work]:
    """The tokenizer in `folder`, and the same with a store."""
    out = folder / ("killed" if hub else "calm") / "tokenizer"
    shape = {"start": "own", "codes": 16, "code_size": 8, "width": 16, "encoder_blocks": 1, "decoder_blocks": 1}
    config = TokenizerConfig.model_validate(
        {**shape, "windows": [16, 32], "steps": 60, "frames_per_batch": 128, "checkpoint_every": 9}
    )
    store = str(folder / "store" / "tokenizer") if hub else None
    job = TokenizerJob(train=motions[:5], held_out=motions[5:], out=out, hub=store, config=config)
    return out, lambda say: train_tokenizer(job, say)


def endure(name: str, calm: tuple[Path, Work], killed: tuple[Path, Work], kills: int, draw: random.Random) -> bool:
    """Kill so often, with a fresh beginning where the work came to its end before; whether every end was the same."""
    (calm_out, calm_work), (out, work) = calm, killed
    log = out.parent / f"{out.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    losses = out / LOSSES
    in_fork(calm_work, log.with_name("calm.log"), losses, None)
    expected, done, emptied, ends, same = outcome(calm_out), 0, 0, 0, True
    lines = len(expected["losses"])
    while done < kills:
        for gone in (out, Path(str(out).replace("/killed/", "/store/"))):
            shutil.rmtree(gone, ignore_errors=True)
        while not in_fork(work, log, losses, (draw.randint(1, lines), draw.uniform(0, 0.05)) if done < kills else None):
            done += 1
            if done % 2:
                shutil.rmtree(out, ignore_errors=True)
                emptied += 1
        ends += 1
        same = same and outcome(out) == expected
    said = log.read_text()
    went_on = said.count("resumes from step")
    print(
        f"{name:14}{done:3} kills, {emptied:2} of them emptied the machine; {went_on:2} restarts found a checkpoint; "
        f"{ends} ends, {'the same bits' if same else 'OTHER BITS'}",
        flush=True,
    )
    return same


def main() -> int:
    """Print what became of each case; 1 where one ended otherwise than undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    same = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_examples(folder / "train.parquet")
        draw = random.Random(f"{arguments.seed}/tokenizer")
        motions = write_motions(folder)
        works = tokenizer_work(folder, motions, False), tokenizer_work(folder, motions, True)
        same.append(endure("tokenizer", *works, arguments.kills, draw))
        for method in ("full", "lora"):
            parents: list[Path | None] = [None, None]
            for stage in STAGES:
                draw = random.Random(f"{arguments.seed}/{method}/{stage}")
                calm, killed = (
                    stage_work(folder, stage, method, parent, bool(hub)) for hub, parent in enumerate(parents)
                )
                same.append(endure(f"{stage}, {method}", calm, killed, arguments.kills, draw))
                parents = [calm[0] / FINAL, killed[0] / FINAL]
    print(f"{sum(same)} of {len(same)} cases end with the same bits (claim: all)")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
