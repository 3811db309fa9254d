"""Train a motion tokenizer: `python -m posellm_assets.motion.train_tokenizer JOB.json` (a TokenizerJob).

Writes `model.safetensors`, `config.json`, `report.json` and `losses.jsonl` into the job's folder. The lineage in
`config.json` and `report.json` is the hash of the weights. A killed training continues from its newest checkpoint, here
or in the store, and ends with the same bits; the checkpoints here go when the report is written.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from posellm_assets import files
from posellm_assets.keys import check_video_key
from posellm_assets.motion import representation
from posellm_assets.motion.config import TokenizerJob
from posellm_assets.motion.objective import Objective
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.motion.tokenizer_report import held_out_figures
from posellm_assets.motion.training_data import (
    Segments,
    TrainingWindows,
    mirrored_features,
    normalisation,
    read_segments,
)
from posellm_assets.program import Preempted, Report, bf16_is_fast_on_cpu, read_config, run_training
from posellm_assets.training import checkpoints
from posellm_assets.training.saving import PREEMPTION_S, SavePoints, Saves

STATE_FILE = "state.safetensors"
REPORT_FILE = "report.json"
LOSSES_FILE = "losses.jsonl"
_LOG_EVERY = 10
_WARM_UP = 0.05
_CODEBOOK_BATCHES = 10  # batches whose latents the k-means start sees


def train(job: TokenizerJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train as the job says and return what is in `report.json`.

    Raises ValueError where there is nothing to train on or the motion files do not fit together, and Preempted after
    saving where `stop()` says so.
    """
    torch.set_num_threads(job.config.threads)
    for path in (*job.train, *job.held_out):
        check_video_key(path.stem)
    segments = read_segments(job.train, job.config.min_frames)
    if not segments.all:
        raise ValueError(
            f"nothing to train on: none of {len(job.train)} motion files has {job.config.min_frames} frames in a row"
        )
    held_out = read_segments(job.held_out, job.config.min_frames)
    training = Training(job, segments, Saves(job.out, job.hub, report))
    if training.resume():
        report(f"continuing from step {training.step} of {job.config.steps}")
    else:
        training.start()
    training.run(report, stop)
    tokenizer = training.tokenizer()
    lineage = tokenizer.save(job.out)
    result: dict[str, Any] = {
        "lineage": lineage,
        "seed": job.seed,
        "steps": training.step,
        "cpu_s": round(training.cpu_s(), 1),
        "precision": "bf16" if training.bf16 else "float32",
        "train": {"clips": len(segments.of_clip), "frames": sum(map(len, segments.all))},
        "too_short": segments.too_short + held_out.too_short,
        "held_out": held_out_figures(tokenizer, held_out.of_clip),
        "config": job.config.model_dump(mode="json"),
    }
    result["store"] = training.saves.finish()
    files.write_json(job.out / REPORT_FILE, result)
    for step in checkpoints.steps(job.out):
        checkpoints.remove(checkpoints.folder_of(job.out, step))
    held_out_mm = result["held_out"]["mpjpe_mm"]
    report(f"{lineage}: {held_out_mm} mm on {len(held_out.of_clip)} held-out clips, {result['cpu_s']} CPU seconds")
    return result


@dataclass
class Training:
    """Everything that moves while a tokenizer is trained, so that all of it can be saved and taken up again."""

    job: TokenizerJob
    segments: Segments
    saves: Saves
    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, example = self.job.config, self.segments.all[0]
        torch.manual_seed(self.job.seed)
        self.rng = np.random.default_rng(self.job.seed)
        self.bf16 = bf16_is_fast_on_cpu()
        features = mirrored_features(self.segments.all, config.min_frames)
        self.network = Network(features[0].shape[1], config)
        self.network.mean, self.network.std = normalisation(features, example.skeleton)
        self.windows = TrainingWindows(features, example, config)
        self.objective = Objective(representation.layout(example.skeleton), self.network.mean, self.network.std)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        vectors = [p for p in self.network.parameters() if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.cpu_before_s = 0.0
        self.cpu_start_s = time.process_time()
        inputs = {path.stem: files.sha256_of(path) for path in self.job.train}
        save_points = {"checkpoint_every", "checkpoint_minutes"}
        settings = config.model_dump(mode="json", exclude=save_points)
        self.identity = {"tokenizer": settings, "seed": self.job.seed, "train": inputs}

    def cpu_s(self) -> float:
        """Processor seconds of this process and of those that it continues."""
        return self.cpu_before_s + time.process_time() - self.cpu_start_s

    def start(self) -> None:
        """Begin the codebook where the untrained encoder's latents lie."""
        with torch.no_grad(), self._autocast():
            latents = [self.network.latents(self._draw()) for _ in range(_CODEBOOK_BATCHES)]
        self.network.quantizer.start(torch.cat([batch.flatten(0, 1) for batch in latents]))

    def run(self, report: Report, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the last step, saving on the way; raises Preempted, having saved, where `stop()` says so."""
        config = self.job.config
        points = SavePoints(config.steps, config.checkpoint_every, config.checkpoint_minutes)
        self.network.train()
        while self.step < config.steps:
            if stop():
                if self.saves.saved != self.step:
                    self.save()
                self.saves.finish(PREEMPTION_S)
                raise Preempted(
                    f"the tokenizer was asked to stop: the same command goes on from step {self.saves.saved}"
                )
            loss, position_mm = self._train_step()
            if self.step % _LOG_EVERY == 0 or self.step == config.steps:
                self.losses.append({"step": self.step, "loss": round(loss, 5), "mpjpe_mm": round(position_mm, 2)})
            if points.due(self.step):
                self.save()
                cpu_s = self.cpu_s()
                report(f"step {self.step} of {config.steps}: loss {loss:.3f}, {position_mm:.0f} mm, {cpu_s:.0f} CPU s")
        self.network.eval()

    def save(self) -> None:
        """Write the losses, and a checkpoint of everything that the next step depends on."""
        lines = "".join(json.dumps(line) + "\n" for line in self.losses)
        files.write_bytes(self.job.out / LOSSES_FILE, lines.encode())
        self.saves.write(self.step, self._fill, self._card())

    def _card(self) -> str:
        return f"# A motion tokenizer in training\n\nStep {self.step} of {self.job.config.steps}.\n"

    def _fill(self, folder: Path) -> None:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        (folder / STATE_FILE).write_bytes(safetensors.torch.save(tensors))
        position = {
            "identity": self.identity,
            "step": self.step,
            "rng": self.rng.bit_generator.state,
            "cpu_s": self.cpu_s(),
            "losses": self.losses,
        }
        files.write_json(folder / checkpoints.POSITION, position)

    def resume(self) -> bool:
        """Take up the newest checkpoint of the same job; that of another job is passed over, and why is reported."""
        newest = self.saves.newest(self._unfit)
        if newest is None:
            return False
        tensors = safetensors.torch.load_file(newest / STATE_FILE)
        self.network.load_state_dict(_under("network.", tensors))
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            index, part = name.split(".")
            states.setdefault(int(index), {})[part] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states})
        torch.set_rng_state(tensors["torch_rng"])
        position = checkpoints.read_position(newest)
        self.step, self.losses, self.cpu_before_s = position["step"], position["losses"], position["cpu_s"]
        self.rng.bit_generator.state = position["rng"]
        self.saves.copy(self._card(), keep=())  # what was killed before it had arrived
        return True

    def _unfit(self, position: dict[str, Any], where: str) -> str | None:
        # Not an error: new footage may have come, and a tokenizer is made anew only where somebody asked for it.
        different = checkpoints.differences(position["identity"], self.identity)
        return f"it is of another training: {checkpoints.named(different)}" if different else None

    def tokenizer(self) -> MotionTokenizer:
        """The tokenizer as it is now."""
        example = self.segments.all[0]
        return MotionTokenizer(
            network=self.network,
            config=self.job.config,
            skeleton=example.skeleton,
            fps=example.fps,
            unknown=tuple(sorted({name for segment in self.segments.all for name in segment.unknown})),
            seed=self.job.seed,
        )

    def _train_step(self) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.config.learning_rate * _schedule(self.step / self.job.config.steps)
        batch = self._draw()
        with self._autocast():
            rebuilt, commitment = self.network(batch)
        loss, position_m = self.objective(rebuilt, batch)
        (loss + commitment).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.item(), position_m.item() * 1000

    def _draw(self) -> Tensor:
        return self.network.normalise(self.windows.draw(self.rng))

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)


def _schedule(progress: float) -> float:
    """Share of the learning rate at `progress` (0 to 1): linear warm-up and cosine down to 1 %."""
    return min(1.0, (progress + 1e-3) / _WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def main() -> None:
    """Run the job named on the command line."""
    job = read_config(TokenizerJob)
    run_training("tokenizer", lambda report, stop: train(job, report, stop))


if __name__ == "__main__":
    main()
