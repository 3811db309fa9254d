"""An OPT, a Qwen3, a Gemma and a Llama through all three stages. `python bench/base_models.py [FAMILY ...]`

Each is built small from its own configuration class and tokenizer rules (`bases.py`) and trained by the real program,
`python -m posellm_assets.language.train`, in float32 on the CPU: full, with LoRA, and with LoRA on 4 bits where
bitsandbytes loads; with transformers and, where it is installed, with Unsloth. Targets: every run ends and its model
generates valid motion; both backends log the same losses to 1e-4; LoRA moves no old row by a bit, and the last stage's
adapter alone, on the untouched base, is the finished model. Seconds are CPU seconds of the three processes.
"""

import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from bases import FAMILIES, write_base
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

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


def run_stages(folder: Path, examples: Path, model: ModelConfig) -> tuple[list[float], list[Path], float]:
    """Train the three stages; their losses in order, the three finished models, and the CPU seconds."""
    losses: list[float] = []
    finals: list[Path] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for number, tasks in enumerate(TASKS, 1):
        stage = StageConfig(name=f"stage{number}", tasks=tasks, steps=STEPS, row_tokens=128, rows_per_batch=2)
        job = StageJob(
            train=examples,
            out=folder / stage.name,
            stage=stage,
            model=model,
            parent=finals[-1] if finals else None,
            codebook_size=CODES,
        )
        path = folder / f"{stage.name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(job.model_dump_json())
        command = [sys.executable, "-m", "posellm_assets.language.train", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if done.returncode:
            raise RuntimeError(f"{folder.name} {stage.name}: {(done.stdout + done.stderr).strip()[-1500:]}")
        losses += [json.loads(line)["loss"] for line in (job.out / "losses.jsonl").read_text().splitlines()]
        finals.append(job.out / "final")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return losses, finals, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def flaws(base: Path, finals: list[Path], method: str) -> list[str]:
    """What is wrong with the finished models of a run; nothing, one hopes."""
    found = []
    final = finals[-1]
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
    families = sys.argv[1:] or list(FAMILIES)
    methods = ["full", "lora"] + (["qlora"] if importlib.util.find_spec("bitsandbytes") else [])
    backends = ["hf"] + (["unsloth"] if importlib.util.find_spec("unsloth") else [])
    table = Table(title=f"three stages of {STEPS} steps", title_justify="left")
    for column in ("base", "method", "backend", "first loss", "last loss", "apart from hf", "CPU s", "flaws"):
        table.add_column(column)
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples = write_examples(folder / "train.parquet")
        for family in families:
            base = write_base(family, folder / family)
            for method in methods:
                of_hf: list[float] = []
                for backend in backends:
                    settings: dict[str, Any] = {"method": method, "backend": backend, "lora_rank": 8}
                    model = ModelConfig(base=str(base), precision="float32", **settings)
                    out = folder / f"{family}-{method}-{backend}"
                    losses, finals, seconds = run_stages(out, examples, model)
                    of_hf = of_hf or losses
                    apart = max(abs(ours - theirs) for ours, theirs in zip(losses, of_hf, strict=True))
                    wrong = flaws(base, finals, method)
                    missed |= apart > AGREEMENT or bool(wrong) or losses[-1] >= losses[0]
                    figures = (f"{losses[0]:.4f}", f"{losses[-1]:.4f}", f"{apart:.1e}", f"{seconds:.0f}")
                    table.add_row(family, method, backend, *figures, "; ".join(wrong) or "none")
                    console.print(f"{family} {method} {backend}: {figures} {wrong}")
    console.print(table)
    console.print("MISSED" if missed else f"met: losses agree to {AGREEMENT}, no flaw")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
