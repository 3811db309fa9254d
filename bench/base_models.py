"""An OPT, a Qwen3, a Gemma and a Llama through all three stages. `python bench/base_models.py [FAMILY ...]`

Each is built small from its own configuration class and tokenizer rules (`bases.py`) and trained by the real program's
`train`, one process for each backend, in float32 on the CPU: full, with LoRA, and with LoRA on 4 bits where
bitsandbytes loads; with transformers and, where it is installed, with Unsloth. Targets: every run ends and its model
generates valid motion; both backends log the same losses to 1e-4; LoRA moves no old row by a bit, and the last stage's
adapter alone, on the untouched base, is the finished model. Seconds are CPU seconds of the three stages.
"""

import importlib.util
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from bases import FAMILIES, write_base
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from posellm_assets.lake import FINAL, JOB, LOSSES
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.vocabulary import Vocabulary

STEPS = 6
CODES = 24
AGREEMENT = 1e-4
LABELS = ("squat", "serve", "lunge")
TASKS: tuple[dict[str, float], ...] = (
    {"motion": 1.0},
    {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2},
    {"t2m": 0.6, "m2t": 0.4},
)


def write_examples(path: Path) -> Path:
    """Clips whose codes walk through a range of their own for each label."""
    draw = random.Random(0)
    rows = [
        {
            "key": f"gym.{label}-{clip}.{place:04x}{clip:04x}",
            "segment": 0,
            "variant": "original",
            "mirrored": False,
            "sport": "gym",
            "label": label,
            "participant": "",
            "texts": [f"a person does a {label}", f"{label}: the knees bend {draw.randint(2, 9)} times"],
            "codes": [8 * place + (clip + step) % 8 for step in range(draw.randint(8, 14))],
        }
        for place, label in enumerate(LABELS)
        for clip in range(6)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def stages(folder: Path, examples: Path, model: ModelConfig) -> list[StageJob]:
    """The three jobs of a run, each starting from the one before."""
    jobs: list[StageJob] = []
    for number, tasks in enumerate(TASKS, 1):
        stage = StageConfig(name=f"stage{number}", tasks=tasks, steps=STEPS, row_tokens=128, rows_per_batch=2)
        job = StageJob(
            train=examples,
            out=folder / stage.name,
            stage=stage,
            model=model,
            parent=jobs[-1].out / FINAL if jobs else None,
            codebook_size=CODES,
        )
        job.out.mkdir(parents=True)
        (job.out / JOB).write_text(job.model_dump_json())
        jobs.append(job)
    return jobs


def flaws(base: Path, final: Path, method: str) -> list[str]:
    """What is wrong with the finished model of a run; nothing, one hopes."""
    found = []
    motions = MotionLM.load(final).motion_from_text(["squat", "a person does a serve"], seed=1)
    if not all(codes and set(codes) <= set(range(CODES)) for codes in motions):
        found.append("generates what is no motion")
    if method == "lora":
        before, after = (AutoModelForCausalLM.from_pretrained(path) for path in (base, final))
        old = min(Vocabulary.load(final).added)
        for end in ("get_input_embeddings", "get_output_embeddings"):
            if not torch.equal(getattr(before, end)().weight[:old], getattr(after, end)().weight[:old]):
                found.append(f"an old row of {end} moved")
    if method != "full" and (error := adapter_error(final, method)) > 1e-4:
        found.append(f"the adapter alone is {error:.1e} off")
    return found


@torch.no_grad()
def adapter_error(final: Path, method: str) -> float:
    """How far the logits of the last adapter, loaded by PEFT on the base as it was trained, are from the finished
    model's."""
    from peft import AutoPeftModelForCausalLM

    four_bits = (
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
        if method == "qlora"
        else None
    )

    Vocabulary.load(final).save(final / "adapter")
    ids = torch.arange(4, 20)[None]
    whole = AutoModelForCausalLM.from_pretrained(final, dtype=torch.float32).eval()
    alone = AutoPeftModelForCausalLM.from_pretrained(
        final / "adapter", dtype=torch.float32, quantization_config=four_bits
    ).train()
    rows = len(Vocabulary.load(final))
    return float((whole(ids).logits[..., :rows] - alone(ids).logits[..., :rows]).abs().max())


def main() -> int:
    """Print the table; 1 where a run failed or a target was missed."""
    console = Console()
    methods = ["full", "lora"] + (["qlora"] if importlib.util.find_spec("bitsandbytes") else [])
    libraries = ["hf"] + (["unsloth"] if importlib.util.find_spec("unsloth") else [])
    table = Table(title=f"three stages of {STEPS} steps", title_justify="left")
    for column in ("base", "method", "backend", "first loss", "last loss", "apart from hf", "CPU s", "flaws"):
        table.add_column(column)
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples = write_examples(folder / "train.parquet")
        runs: dict[tuple[str, str, str], list[StageJob]] = {}
        for family in sys.argv[1:] or list(FAMILIES):
            base = str(write_base(family, folder / family))
            for method, library in itertools.product(methods, libraries):
                model = ModelConfig.model_validate(
                    {"base": base, "method": method, "backend": library, "lora_rank": 8, "precision": "float32"}
                )
                out = folder / f"{family}-{method}-{library}"
                runs[family, method, library] = stages(out, examples, model)
        for library in libraries:
            jobs = [job for run, jobs in runs.items() if run[2] == library for job in jobs]
            command = [
                sys.executable,
                str(Path(__file__).with_name("train_jobs.py")),
                *(str(job.out / JOB) for job in jobs),
            ]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        for (family, method, library), jobs in runs.items():
            losses, of_hf = logged(jobs), logged(runs[family, method, "hf"])
            apart = max(abs(ours - theirs) for ours, theirs in zip(losses, of_hf, strict=True))
            seconds = sum(float((job.out / "cpu_s").read_text()) for job in jobs)
            wrong = flaws(folder / family, jobs[-1].out / FINAL, method)
            missed |= apart > AGREEMENT or bool(wrong) or losses[-1] >= losses[0]
            figures = (f"{losses[0]:.4f}", f"{losses[-1]:.4f}", f"{apart:.1e}", f"{seconds:.1f}")
            table.add_row(family, method, library, *figures, "; ".join(wrong) or "none")
    console.print(table)
    console.print("MISSED" if missed else f"met: every run ends, losses agree to {AGREEMENT}, no flaw")
    return int(missed)


def logged(jobs: list[StageJob]) -> list[float]:
    """The losses of all stages of a run, step by step."""
    return [json.loads(line)["loss"] for job in jobs for line in (job.out / LOSSES).read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
