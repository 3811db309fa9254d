"""The motion tokenizer against T2M-GPT's VQ-VAE on motion capture. `python bench/tokenizer.py [--minutes 3] [--seed 0]`

Each tokenizer is trained for the same CPU minutes (process time) on one thread, all at the same time, so that a busy
machine slows all of them alike: at 45, 90 and 200 bits a second of motion, and the baseline (`t2m_gpt.py`) at its 45.
Ours are given steps that should take 3 % less than the baseline's time; what they took is printed. The first is trained
once more, killed on the way and resumed.

Both train on the train and val clips of `mocap.split` and are measured on its test clips, on which nothing was chosen.
An error is the mean over clips. The speed is from motion to codes to motion, clip by clip, in turns. Codes used are
those that any of the clips needs. Without data it says so and exits 0; a missed target exits 1.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Protocol

import mocap
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from t2m_gpt import BaselineTokenizer

from posellm_assets.files import read_json
from posellm_assets.lake import FINAL, RESULT
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.errors import acceleration_error_m_per_s2, global_mpjpe_mm, mpjpe_mm
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed
from posellm_assets.motion.tokenizer import WEIGHTS_FILE, MotionTokenizer
from posellm_assets.motion.train_tokenizer import train
from posellm_assets.training.checkpoints import steps as checkpoint_steps

TRAIN = {"learning_rate": 2e-3, "frames_per_batch": 2048}
# Five body parts. 45 bits a second are the baseline's own, 9 bits for four frames; 90 and 200 are those of two and of
# four residual codes of 512 and 1024 in its place.
SIZES = {
    "45 bits/s": {"frames_per_step": 16, "codes": 128},
    "90 bits/s": {"frames_per_step": 8, "codes": 128},
    "200 bits/s": {"frames_per_step": 8, "codes": 256, "layers": 2},
}
ERROR_RATIOS = {"45 bits/s": 0.46, "90 bits/s": 0.34, "200 bits/s": 0.22}
SAME_BITS = "45 bits/s"
CALIBRATION_STEPS = 30
SPEED_ROUNDS = 5
SHARE_OF_BUDGET = 0.97


class Tokenizer(Protocol):
    """What the bench needs of a tokenizer."""

    def encode(self, motion: Motion) -> list[int]: ...
    def decode(self, codes: list[int]) -> Motion: ...


@dataclass(frozen=True)
class Figures:
    """Means over the test clips, and the share of codes that any clip uses."""

    mpjpe_mm: float
    global_mm: float
    acceleration: float
    codes_used: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="CPU minutes of each training; claims hold for 3")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = mocap.split(mocap.read_takes())
    train, test = clips.train + clips.val, clips.test
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = mocap.write_motions(train, folder / "motion")
        jobs = {size: new_job(paths, folder, size, arguments.minutes * 60, arguments.seed) for size in SIZES}
        with ThreadPoolExecutor() as side_by_side:  # it only waits for processes, which have one thread each
            resumed = side_by_side.submit(killed_and_taken_up_again, jobs[SAME_BITS], folder)
            others = side_by_side.map(run, jobs.values(), repeat(folder))
            baseline = BaselineTokenizer([take.motion for take in train], arguments.minutes * 60, arguments.seed)
            list(others)
            same_bits = resumed.result() and same_weights(jobs[SAME_BITS].out, folder / "killed")
        cpu_s = {size: read_json(job.out / RESULT)["step_cpu_seconds"] for size, job in jobs.items()}
        tokenizers = {size: MotionTokenizer.load(job.out / FINAL) for size, job in jobs.items()}
    everything = [take.motion for take in train + test]
    theirs = measure(baseline, 512, [take.motion for take in test], everything)
    ours = {
        size: measure(tokenizer, tokenizer.codebook_size, [take.motion for take in test], everything)
        for size, tokenizer in tokenizers.items()
    }
    speeds = speed([tokenizers[SAME_BITS], baseline], [take.motion for take in test])
    table = Table("claim", "T2M-GPT", "posellm", "ratio", "target")
    met = [
        row(table, f"MPJPE root-aligned, {size}, mm", theirs.mpjpe_mm, figures.mpjpe_mm, at_most=most)
        for (size, figures), most in zip(ours.items(), ERROR_RATIOS.values(), strict=True)
    ]
    one = ours[SAME_BITS]
    met += [
        row(table, f"acceleration error, {SAME_BITS}, m/s²", theirs.acceleration, one.acceleration, at_most=0.6),
        row(table, "frames encoded and decoded per CPU second", speeds[1], speeds[0], at_least=1.2),
    ]
    row(table, f"MPJPE global, {SAME_BITS}, mm (no claim)", theirs.global_mm, one.global_mm)
    for size, figures in ours.items():
        used = figures.codes_used
        met.append(used >= 0.9)
        table.add_row(f"codes used, {size}", f"{theirs.codes_used:.1%}", f"{used:.1%}", "", "≥ 90 %")
    met.append(same_bits)
    table.add_row(
        f"killed and taken up again, {SAME_BITS}", "", "same bits" if same_bits else "other bits", "", "same bits"
    )
    trained = [f"{size} {jobs[size].config.steps} steps in {cpu_s[size]:.0f} CPU s" for size in SIZES]
    trained.append(f"T2M-GPT {baseline.steps} steps in {baseline.cpu_s:.0f} CPU s")
    frames = sum(len(take.motion) for take in test)
    Console().print(
        table, f"{len(train)} clips to train, {len(test)} ({frames} frames) to test, seed {arguments.seed};", *trained
    )
    return 0 if all(met) else 1


def new_job(paths: Sequence[Path], folder: Path, size: str, budget_s: float, seed: int) -> TokenizerJob:
    """The job whose number of steps fills the budget, by the pace of a few steps."""
    config = TokenizerConfig(start="own", **TRAIN, **SIZES[size], steps=CALIBRATION_STEPS)  # type: ignore[arg-type]
    trial = TokenizerJob(train=list(paths), held_out=[], out=folder / "trial", config=config, seed=seed)
    before_s = time.process_time()
    steps_s = train(trial, lambda message: None)["step_cpu_seconds"]
    begun_s = time.process_time() - before_s - steps_s
    steps = int((SHARE_OF_BUDGET * budget_s - begun_s) / steps_s * CALIBRATION_STEPS)
    config = config.model_copy(update={"steps": steps})
    return trial.model_copy(update={"out": folder / size.split()[0], "config": config})


def run(job: TokenizerJob, folder: Path) -> None:
    """The training program, to its end."""
    process = start(job, folder)
    if process.wait():
        sys.exit(f"the training of {job.out.name} failed")


def start(job: TokenizerJob, folder: Path) -> subprocess.Popen[bytes]:
    path = folder / f"{job.out.name}.json"
    path.write_text(job.model_dump_json())
    return subprocess.Popen([sys.executable, "-m", "posellm_assets.motion.train_tokenizer", str(path)])


def killed_and_taken_up_again(job: TokenizerJob, folder: Path) -> bool:
    """Train in the folder `killed`, with a SIGKILL after the first checkpoint; whether it came before the end."""
    again = job.model_copy(update={"out": folder / "killed"})
    process = start(again, folder)
    while not checkpoint_steps(again.out) and process.poll() is None:
        time.sleep(1)
    time.sleep(1)
    process.kill()
    killed = process.wait() == -signal.SIGKILL
    run(again, folder)
    return killed


def same_weights(one: Path, other: Path) -> bool:
    return (one / FINAL / WEIGHTS_FILE).read_bytes() == (other / FINAL / WEIGHTS_FILE).read_bytes()


def measure(tokenizer: Tokenizer, codebook_size: int, test: Sequence[Motion], everything: Sequence[Motion]) -> Figures:
    """Errors on the test clips, use of the codes on all."""
    rows = []
    for motion in test:
        rebuilt = tokenizer.decode(tokenizer.encode(motion))
        truth = placed(motion).cut(0, len(rebuilt))
        rows.append([error(rebuilt, truth) for error in (mpjpe_mm, global_mpjpe_mm, acceleration_error_m_per_s2)])
    used = {code for motion in everything for code in tokenizer.encode(motion)}
    return Figures(*np.mean(rows, axis=0).tolist(), len(used) / codebook_size)


def speed(tokenizers: Sequence[Tokenizer], motions: Sequence[Motion]) -> list[float]:
    """Frames per CPU second from motion to codes to motion: the median of a few rounds, turn and turn about."""
    seconds: list[list[float]] = [[] for _ in tokenizers]
    for _ in range(SPEED_ROUNDS):
        for times, tokenizer in zip(seconds, tokenizers, strict=True):
            start_s = time.process_time()
            for motion in motions:
                tokenizer.decode(tokenizer.encode(motion))
            times.append(time.process_time() - start_s)
    frames = sum(len(motion) for motion in motions)
    return [frames / statistics.median(times) for times in seconds]


def row(
    table: Table, claim: str, theirs: float, ours: float, at_most: float | None = None, at_least: float | None = None
) -> bool:
    """Write a ratio down; whether it meets its target."""
    ratio = ours / theirs
    target = f"≤ {at_most}" if at_most else f"≥ {at_least}" if at_least else ""
    table.add_row(claim, f"{theirs:,.2f}", f"{ours:,.2f}", f"{ratio:.2f}", target)
    return (at_most is None or ratio <= at_most) and (at_least is None or ratio >= at_least)


if __name__ == "__main__":
    sys.exit(main())
