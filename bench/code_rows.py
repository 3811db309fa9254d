"""Rows of codes that begin as near to one another as the tokenizer's code vectors do. `python bench/code_rows.py`

Claim: after the same steps of stage 1 the held-out loss is lower than with rows drawn at random, for each seed. On the
newest snapshot of the lake of `POSELLM_LAKE` (by default `data_lake`; `make demo` makes one), one thread; `--base`
names a pretrained one instead of the tiny one, trained with LoRA. Skipped where the lake has no snapshot.

    python bench/code_rows.py [--steps 120] [--seeds 0 1 2] [--base FOLDER]
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from pipeline import run_program
from rich.console import Console
from rich.table import Table

from posellm_assets import files
from posellm_assets.jobs.language import stage_job
from posellm_assets.lake import LOSSES, RESULT, Lake
from posellm_assets.language.config import ModelConfig, StageJob
from posellm_assets.settings import load_settings

ARMS = ("code vectors, projected", "random")


def main() -> int:
    """Train both ways for each seed, print; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--base", default="tiny")
    arguments = parser.parse_args()
    lake = Lake(os.environ.get("POSELLM_LAKE", "data_lake"))
    if not (snapshots := sorted(lake.frozen_snapshots())):
        print(f"skipped: {lake.root} has no snapshot; run `make demo` there first, or set POSELLM_LAKE")
        return 0
    settings = load_settings(lake)
    model = ModelConfig(base=arguments.base, method="full" if arguments.base == "tiny" else "lora", backend="hf")
    job = stage_job(lake, settings, snapshots[-1], settings.language.stages[0].name)
    job = job.model_copy(
        update={
            "stage": job.stage.model_copy(update={"steps": arguments.steps, "patience": None}),
            **{"parent": None, "replay": None, "hub": None, "model": model},
        }
    )
    table = Table("rows of codes", "seed", "loss of the last tenth", "held out", "CPU s", title=arguments.base)
    held_out: dict[str, list[float]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as name:
        for seed in arguments.seeds:
            for arm in ARMS:
                out = Path(name) / f"{'placed' if arm == ARMS[0] else 'random'}-{seed}"
                update = {"out": out, "seed": seed, "tokenizer": job.tokenizer if arm == ARMS[0] else None}
                of_arm = StageJob.model_validate(job.model_copy(update=update).model_dump())
                cpu_s = run_program("language.train", of_arm, out)
                last, loss = losses(out, arguments.steps), files.read_json(out / RESULT)["val"]["motion"]["loss"]
                held_out[arm].append(loss)
                table.add_row(arm, str(seed), f"{last:.3f}", f"{loss:.3f}", f"{cpu_s:.0f}")
    Console(width=120).print(table)
    gain = np.subtract(held_out[ARMS[1]], held_out[ARMS[0]])
    met = bool((gain > 0).all())
    print(f"held-out loss lower by {np.round(gain, 3).tolist()} nats a token: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def losses(folder: Path, steps: int) -> float:
    """The mean training loss of the last tenth of the steps."""
    lines = (folder / LOSSES).read_text().splitlines()
    return float(np.mean([json.loads(line)["loss"] for line in lines[-max(1, steps // 10) :]]))


if __name__ == "__main__":
    sys.exit(main())
