"""Train a motion tokenizer: `python -m posellm_assets.motion.train_tokenizer JOB.json` (a TokenizerJob).

Writes `model.safetensors`, `config.json`, `report.json` and `losses.jsonl` into the job's folder. The lineage in
`config.json` and `report.json` is the hash of the weights. A killed training continues from `checkpoint.safetensors`
and ends with the same bits; the checkpoint goes when the report is written.
"""

import json
import math
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from posellm_assets import lake
from posellm_assets.footage.keys import check_video_key, sport_of
from posellm_assets.motion import representation
from posellm_assets.motion.config import FRAMES_PER_TOKEN, TokenizerJob
from posellm_assets.motion.errors import acceleration_error_m_per_s2, mpjpe_mm
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.motion.training_data import Segments, Windows, augmented_features, normalisation, read_segments
from posellm_assets.program import Report, read_config, reporting

CHECKPOINT_FILE = "checkpoint.safetensors"
REPORT_FILE = "report.json"
LOSSES_FILE = "losses.jsonl"
_LOG_EVERY = 10
_WARM_UP = 0.05
_CODEBOOK_BATCHES = 10  # batches whose latents the k-means start sees


def train(job: TokenizerJob, report: Report) -> dict[str, Any]:
    """Train as the job says and return what is in `report.json`.

    Raises ValueError where there is nothing to train on or the motion files do not fit together.
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
    training = Training(job, segments)
    if training.resume():
        report(f"continuing from step {training.step} of {job.config.steps}")
    else:
        training.start()
    training.run(report)
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
        "held_out": evaluate(tokenizer, held_out),
        "config": job.config.model_dump(mode="json"),
    }
    lake.write_json(job.out / REPORT_FILE, result)
    (job.out / CHECKPOINT_FILE).unlink(missing_ok=True)
    held_out_mm = result["held_out"]["mpjpe_mm"]
    report(f"{lineage}: {held_out_mm} mm on {len(held_out.of_clip)} held-out clips, {result['cpu_s']} CPU seconds")
    return result


@dataclass
class Training:
    """Everything that moves while a tokenizer is trained, so that all of it can be saved and taken up again."""

    job: TokenizerJob
    segments: Segments
    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, example = self.job.config, self.segments.all[0]
        torch.manual_seed(self.job.seed)
        self.rng = np.random.default_rng(self.job.seed)
        self.bf16 = bool(torch.cpu._is_avx512_bf16_supported())
        features = augmented_features(self.segments.all, config.speeds, config.min_frames)
        self.network = Network(features[0].shape[1], config)
        self.network.mean, self.network.std = normalisation(features, example.skeleton)
        self.windows = Windows([self.network.normalise(f) for f in features], config)
        self.objective = Objective(representation.layout(example.skeleton), self.network.mean, self.network.std)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        vectors = [p for p in self.network.parameters() if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.cpu_before_s = 0.0
        self.cpu_start_s = time.process_time()
        inputs = {path.stem: lake.sha256_of(path) for path in self.job.train}
        identity = self.job.model_dump(mode="json", include={"config", "seed"}) | {"train": inputs}
        self.identity = json.dumps(identity, sort_keys=True)

    def cpu_s(self) -> float:
        """Processor seconds of this process and of those that it continues."""
        return self.cpu_before_s + time.process_time() - self.cpu_start_s

    def start(self) -> None:
        """Begin the codebook where the untrained encoder's latents lie."""
        with torch.no_grad(), self._autocast():
            latents = [self.network.latents(self.windows.draw(self.rng)) for _ in range(_CODEBOOK_BATCHES)]
        self.network.quantizer.start(torch.cat([batch.flatten(0, 1) for batch in latents]))

    def run(self, report: Report) -> None:
        """Train to the last step, with a checkpoint on the way every `checkpoint_every` steps."""
        steps, every = self.job.config.steps, self.job.config.checkpoint_every
        self.network.train()
        while self.step < steps:
            loss, position_mm = self._train_step()
            if self.step % _LOG_EVERY == 0 or self.step == steps:
                self.losses.append({"step": self.step, "loss": round(loss, 5), "mpjpe_mm": round(position_mm, 2)})
            if self.step % every == 0 or self.step == steps:
                self.save()
                report(f"step {self.step} of {steps}: loss {loss:.3f}, {position_mm:.0f} mm, {self.cpu_s():.0f} CPU s")
        self.network.eval()

    def save(self) -> None:
        """Write the losses, and everything that the next step depends on as one file, atomically."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        about = {
            "identity": self.identity,
            "progress": json.dumps(
                {
                    "step": self.step,
                    "rng": self.rng.bit_generator.state,
                    "cpu_s": self.cpu_s(),
                    "losses": self.losses,
                }
            ),
        }
        lake.write_bytes(self.job.out / CHECKPOINT_FILE, safetensors.torch.save(tensors, metadata=about))
        lines = "".join(json.dumps(line) + "\n" for line in self.losses)
        lake.write_bytes(self.job.out / LOSSES_FILE, lines.encode())

    def resume(self) -> bool:
        """Take up the checkpoint of the same job where there is one; that of another job is not touched or used."""
        path = self.job.out / CHECKPOINT_FILE
        if not path.exists():
            return False
        try:
            with safetensors.safe_open(path, framework="pt") as checkpoint:
                about = checkpoint.metadata()
                tensors = {name: checkpoint.get_tensor(name) for name in checkpoint.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is damaged ({error}): remove it and the training begins again") from error
        if about["identity"] != self.identity:
            return False
        self.network.load_state_dict(_under("network.", tensors))
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            index, part = name.split(".")
            states.setdefault(int(index), {})[part] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": states})
        torch.set_rng_state(tensors["torch_rng"])
        progress = json.loads(about["progress"])
        self.step, self.losses, self.cpu_before_s = progress["step"], progress["losses"], progress["cpu_s"]
        self.rng.bit_generator.state = progress["rng"]
        return True

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
        batch = self.windows.draw(self.rng)
        with self._autocast():
            rebuilt, commitment = self.network(batch)
        loss, position_m = self.objective(rebuilt, batch)
        (loss + commitment).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.item(), position_m.item() * 1000

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)


class Objective:
    """The training loss: positions and velocities in metres with the heading integrated, root drift, and features.

    In metres, because errors of the turning speed add up over a window and the features alone do not show it.
    """

    def __init__(self, parts: representation.Layout, mean: Tensor, std: Tensor):
        self.parts = parts
        self.mean, self.std = mean, std

    def __call__(self, rebuilt: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) normalised features each. Returns the loss and the root-aligned MPJPE in metres."""
        joints, root = self._joints(rebuilt)
        with torch.no_grad():
            true_joints, true_root = self._joints(batch)
        apart, drift = joints - true_joints, root - true_root
        bodies = apart.shape[2] + 1  # joints with the root, whose aligned error is 0
        position_m = _length(apart).sum(-1).mean() / bodies
        everywhere = torch.cat([drift[:, :, None], apart + drift[:, :, None]], dim=2)
        velocity = _length(everywhere[:, 1:] - everywhere[:, :-1]).mean()
        distance = _length(drift)
        trajectory = functional.smooth_l1_loss(distance, torch.zeros_like(distance), beta=0.2)
        features = functional.smooth_l1_loss(rebuilt, batch)
        return 10 * position_m + 10 * velocity + trajectory + 0.3 * features, position_m.detach()

    def _joints(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Joints relative to the root (B, T, J-1, 3) and the root's way (B, T, 3); `representation.decode` in torch."""
        features, parts = normalised * self.std + self.mean, self.parts
        yaw = _sum_before(features[..., parts.yaw_velocity])
        height = features[..., parts.height]
        local = features[..., parts.positions].unflatten(-1, (-1, 3))
        x, y, z = local.unbind(-1)
        joints = _turn(torch.stack([x, y - height, z], dim=-1), yaw)
        step_x, step_z = features[..., parts.planar_velocity].unbind(-1)
        steps = torch.stack([step_x, torch.zeros_like(step_x), step_z], dim=-1)
        way = _sum_before(_turn(steps[:, :, None], yaw)[:, :, 0])
        return joints, way + functional.pad(height, (1, 1))


def evaluate(tokenizer: MotionTokenizer, held_out: Segments) -> dict[str, Any]:
    """Reconstruction of held-out clips: the mean over clips, beside a figure that stands still in the mean pose."""
    clips, segments = held_out.of_clip, held_out.all
    if not segments:
        return {"clips": 0, "frames": 0, "mpjpe_mm": None, "reason": "no held-out clip has enough frames in a row"}
    codes = tokenizer.encode_many(segments)
    decoded = iter(tokenizer.decode_many(codes))
    rows: list[dict[str, Any]] = []
    for key, of_clip in clips.items():
        truths = [_whole_tokens(segment) for segment in of_clip]
        pairs = [(next(decoded), truth) for truth in truths]
        rows.append(
            {
                "sport": sport_of(key),
                "mpjpe_mm": np.mean([mpjpe_mm(rebuilt, truth) for rebuilt, truth in pairs]),
                "mean_pose_mm": np.mean([mpjpe_mm(_mean_pose(tokenizer, truth), truth) for truth in truths]),
                "acceleration": np.mean([acceleration_error_m_per_s2(rebuilt, truth) for rebuilt, truth in pairs]),
            }
        )
    uses = np.bincount(np.concatenate(codes), minlength=tokenizer.codebook_size)
    shares = uses[uses > 0] / uses.sum()
    sports = sorted({row["sport"] for row in rows})
    return {
        "clips": len(clips),
        "frames": sum(len(s) for s in segments),
        "mpjpe_mm": _mean(rows, "mpjpe_mm"),
        "baseline_mean_pose_mm": _mean(rows, "mean_pose_mm"),
        "acceleration_error_m_per_s2": _mean(rows, "acceleration"),
        "codes": int(uses.sum()),
        "codes_used": int((uses > 0).sum()),
        "perplexity": round(float(np.exp(-(shares * np.log(shares)).sum())), 1),
        "by_sport": {
            sport: {
                "clips": len(of_sport),
                "mpjpe_mm": _mean(of_sport, "mpjpe_mm"),
                "baseline_mean_pose_mm": _mean(of_sport, "mean_pose_mm"),
            }
            for sport in sports
            if (of_sport := [row for row in rows if row["sport"] == sport])
        },
    }


def _whole_tokens(motion: Motion) -> Motion:
    return representation.placed(motion).cut(0, len(motion) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN)


def _mean_pose(tokenizer: MotionTokenizer, like: Motion) -> Motion:
    features = np.repeat(tokenizer.network.mean.numpy()[None], len(like), axis=0)
    features[:, representation.layout(tokenizer.skeleton).yaw_velocity] = 0
    return representation.decode(features, tokenizer.skeleton, tokenizer.fps)


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return round(float(np.mean([row[name] for row in rows])), 2)


def _schedule(progress: float) -> float:
    """Share of the learning rate at `progress` (0 to 1): linear warm-up and cosine down to 1 %."""
    return min(1.0, (progress + 1e-3) / _WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


def _sum_before(steps: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1].cumsum(1)], dim=1)


def _turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    """(B, T, N, 3) vectors turned about +y by (B, T, 1) radians; `representation.turn` in torch."""
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def main() -> None:
    """Run the job named on the command line."""
    job = read_config(TokenizerJob)
    with reporting() as report:
        try:
            train(job, report)
        except (ValueError, FileNotFoundError) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
