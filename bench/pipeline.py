"""The project's own way from motion to a trained language model, for benches: its programs, run as processes.

Times are CPU seconds of whole processes, start and imports included.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mocap import Take, write_motions
from pydantic import BaseModel

from posellm_assets import files
from posellm_assets.evaluation.config import EvaluatorConfig, EvaluatorJob
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import FINAL
from posellm_assets.language.config import ModelConfig, Replay, StageConfig, StageJob
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.tokenise import Variant, variants_of
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.texts.mirror import mirror_text

SPORT = "mocap"


@dataclass(frozen=True)
class Trained:
    """Where a program left its result, and what it cost."""

    folder: Path
    cpu_s: float


def run_program(module: str, job: BaseModel, out: Path) -> float:
    """Run `python -m posellm_assets.<module> JOB.json` in one thread, its output into `out`.log; returns CPU seconds.

    What the same job cost is written down beside it, and a job that is done is not done again. A program that fails
    ends the bench with the end of its output.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    job_file, log_file, cost_file = (out.parent / f"{out.name}.{suffix}" for suffix in ("json", "log", "cost.json"))
    content = job.model_dump_json()
    if cost_file.exists() and job_file.read_text() == content:
        return float(files.read_json(cost_file)["cpu_s"])
    job_file.write_text(content)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log_file.open("w") as log:
        command = [sys.executable, "-m", f"posellm_assets.{module}", str(job_file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        sys.exit(f"{module} failed:\n{log_file.read_text()[-3000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files.write_json(cost_file, {"cpu_s": cpu_s})
    return cpu_s


def train_tokenizer(
    train: Sequence[Take], held_out: Sequence[Take], folder: Path, config: TokenizerConfig, seed: int
) -> Trained:
    """A motion tokenizer of `train`, with a report on `held_out`."""
    job = TokenizerJob(
        train=write_motions(train, folder / "motions"),
        held_out=write_motions(held_out, folder / "motions"),
        out=folder / "tokenizer",
        config=config,
        seed=seed,
    )
    return Trained(job.out / FINAL, run_program("motion.train_tokenizer", job, job.out))


def write_examples(takes: Sequence[Take], tokenizer: MotionTokenizer, path: Path, *, augmented: bool) -> None:
    """The examples of `takes` as a snapshot holds them: train with all variants, val and test as filmed."""
    views = [
        (take, variant)
        for take in takes
        for variant in (variants_of(take.motion, tokenizer) if augmented else [Variant("original", False, take.motion)])
    ]
    codes = tokenizer.encode_many([variant.motion for _, variant in views])
    rows = [
        {
            "key": take.key,
            "segment": 0,
            "variant": variant.name,
            "mirrored": variant.mirrored,
            "sport": SPORT,
            "label": mirror_text(take.label) if variant.mirrored else take.label,
            "participant": None,
            "texts": [mirror_text(take.text) if variant.mirrored else take.text],
            "codes": ids,
        }
        for (take, variant), ids in zip(views, codes, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), path)


def train_language(
    examples: Path,
    tokenizer_folder: Path,
    stages: Sequence[StageConfig],
    model: ModelConfig,
    folder: Path,
    seed: int,
    parent: Path | None = None,
    replay: Replay | None = None,
) -> list[Trained]:
    """Train the stages one after the other, the first from `parent`; the last one's `folder / FINAL` is the model."""
    tokenizer = MotionTokenizer.load(tokenizer_folder)
    codes = {"codebook_size": tokenizer.codebook_size, "codes_per_step": tokenizer.codes_per_step}
    spoken = {**codes, "lineage": tokenizer.lineage, "tokenizer": tokenizer_folder}
    return train_stages(stages, folder, parent, train=examples, model=model, replay=replay, seed=seed, **spoken)


def train_stages(
    stages: Sequence[StageConfig], folder: Path, parent: Path | None = None, **about: Any
) -> list[Trained]:
    """The same with the rest of each `StageJob` in `about`."""
    done: list[Trained] = []
    for stage in stages:
        before = done[-1].folder / FINAL if done else parent
        job = StageJob(out=folder / stage.name, stage=stage, parent=before, **about)
        done.append(Trained(job.out, run_program("language.train", job, job.out)))
    return done


def train_evaluator(
    examples: Path, motions: Path, tokenizer: MotionTokenizer, out: Path, config: EvaluatorConfig, seed: int
) -> Trained:
    """The text-motion evaluator of `examples`, whose motion files are in the folder `motions`."""
    keys = set(pq.read_table(examples, columns=["key"])["key"].to_pylist())
    job = EvaluatorJob(
        frames_per_step=tokenizer.frames_per_step,
        codes_per_step=tokenizer.codes_per_step,
        train=examples,
        test=examples,
        motions={key: motions / f"{key}.parquet" for key in sorted(keys)},
        out=out,
        seed=seed,
        config=config,
    )
    return Trained(out, run_program("evaluation.train_evaluator", job, out))
