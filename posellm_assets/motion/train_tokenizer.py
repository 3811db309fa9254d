"""Train a motion tokenizer, read from top to bottom: job, motions, network, steps, the finished tokenizer.

    python -m posellm_assets.motion.train_tokenizer JOB.json                               JOB.json is a `TokenizerJob`

Where the job asks for the shipped codes, nothing is trained: see `shipped`.

What it leaves in the job's `out`, and how it resumes, is told in `training.loop`. The lineage hashes the weights.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets import files
from posellm_assets.keys import check_video_key
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.objective import Objective
from posellm_assets.motion.shipped import adopt_shipped, shipped_for
from posellm_assets.motion.tokenizer import MotionTokenizer, Network
from posellm_assets.motion.tokenizer_report import held_out_figures
from posellm_assets.motion.training_data import TrainingWindows, normalisation, read_segments
from posellm_assets.program import Report, bf16_is_fast_on_cpu, claim_job, run_training
from posellm_assets.training.loop import Run
from posellm_assets.training.optimizer import adamw
from posellm_assets.training.plan import Plan, decisive
from posellm_assets.training.processes import alone
from posellm_assets.training.record import code_hash
from posellm_assets.training.state import Trained

_WARM_UP = 0.05
_CODEBOOK_BATCHES = 10  # batches whose latents the k-means start sees


def train(job: TokenizerJob, report: Report, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train as the job says and return what `result.json` holds; a job that is finished already is left as it is.

    Raises ValueError where there is nothing to train on or the motion files do not fit together, and what
    `training.loop.Run` raises.
    """
    # --- Motions
    config = job.config
    for path in (*job.train, *job.held_out):
        check_video_key(path.stem)
    segments = read_segments(job.train, config.min_frames)
    if not segments.all:
        raise ValueError(
            f"nothing to train on: none of {len(job.train)} motion files has {config.min_frames} frames in a row"
        )
    held_out = read_segments(job.held_out, config.min_frames)
    run = Run(plan(job), alone(), report, stop)
    if run.result:
        return run.result

    # --- Network
    example = segments.all[0]
    torch.manual_seed(job.seed)
    bf16 = bf16_is_fast_on_cpu()
    network = Network(example.skeleton, config)
    if config.start == "tuned":
        network.go_on_from(_of_this_shape(shipped_for(segments.all, config.layers), config).network)
    else:
        network.normalise(normalisation(segments.all))
    objective = Objective(example.skeleton, network.heading_std)
    draws = _Draws(TrainingWindows(segments.all, config), job.seed)

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    weights = dict(network.named_parameters())
    optimizer = adamw(weights, weight_decay=0.01, betas=(0.9, 0.99))
    if run.checkpoint is None and config.start == "own":  # the codebooks begin where untrained encoders' latents lie
        with torch.no_grad(), autocast():
            latents = [network.latents(draws.next()) for _ in range(_CODEBOOK_BATCHES)]
        network.start({kind: torch.cat([batch[kind].flatten(0, 1) for batch in latents])[None] for kind in latents[0]})
    run.begin(Trained(weights, optimizer, dict(network.named_buffers())), draws)

    # --- Steps
    network.train()
    for _ in run.steps():
        batch = draws.next()
        with autocast():
            rebuilt, commitment = network(batch)
        loss, position_m = objective(rebuilt, batch)
        (loss + commitment).backward()
        clips = [path.stem for path in job.train]
        run.update(loss, clips, {"mpjpe_mm": 1000 * position_m}, frames=batch[0].shape[0] * batch[0].shape[1])

    # --- The finished tokenizer
    network.eval()
    tokenizer = MotionTokenizer(
        network=network,
        config=config,
        skeleton=example.skeleton,
        fps=example.fps,
        unknown=tuple(sorted({name for segment in segments.all for name in segment.unknown})),
        seed=job.seed,
    )
    figures = held_out_figures(tokenizer, held_out.of_clip)
    run.say(f"{tokenizer.lineage}: {figures['mpjpe_mm']} mm on {len(held_out.of_clip)} held-out clips")
    return run.finish(
        tokenizer.save,
        {
            "lineage": tokenizer.lineage,
            "precision": "bf16" if bf16 else "float32",
            "train": {"clips": len(segments.of_clip), "frames": sum(map(len, segments.all))},
            "too_short": segments.too_short + held_out.too_short,
            "held_out": figures,
            "config": config.model_dump(mode="json"),
        },
    )


def _of_this_shape(tokenizer: MotionTokenizer, config: TokenizerConfig) -> MotionTokenizer:
    """The shipped tokenizer, if it is of this shape; raises ValueError where it is not."""
    shape = ("frames_per_step", "codes", "layers", "code_size", "width", "encoder_blocks", "decoder_blocks")
    if other := [name for name in shape if getattr(tokenizer.config, name) != getattr(config, name)]:
        its = ", ".join(f"tokenizer.{name}: {getattr(tokenizer.config, name)}" for name in other)
        raise ValueError(f"the shipped codes have another shape: set {its}, or tokenizer.start: own")
    return tokenizer


class _Draws:
    """Windows without end, from a generator whose state is the place in them."""

    def __init__(self, windows: TrainingWindows, seed: int):
        self._windows, self._generator = windows, np.random.default_rng(seed)

    def next(self) -> list[torch.Tensor]:
        """(B, T, D) features of each part in the next batch."""
        return self._windows.draw(self._generator)

    def place(self) -> Mapping[str, Any]:
        """The state of the generator."""
        return self._generator.bit_generator.state

    def seek(self, place: Any) -> None:
        """Set the state of the generator."""
        self._generator.bit_generator.state = place


def plan(job: TokenizerJob) -> Plan:
    """What the loop is told of a tokenizer: another job's checkpoints are passed over, as new footage may have come."""
    config = job.config
    return Plan(
        name="the tokenizer",
        out=job.out,
        hub=job.hub,
        identity={
            "tokenizer": decisive(config.model_dump(mode="json")),
            "seed": job.seed,
            "train": {path.stem: files.sha256_of(path) for path in job.train},
        },
        cures=r"tokenizer\.(learning_rate|steps|frames_per_batch)$|train\.",
        remedy="lower tokenizer.learning_rate",
        code=code_hash(Path(__file__).parent),
        steps=config.steps,
        learning_rate=lambda step: config.learning_rate * _schedule((step - 1) / config.steps),
        max_gradient_norm=1.0,
        seed=job.seed,
        threads=config.threads,
        card=lambda position, _: f"# A motion tokenizer in training\n\nStep {position.step} of {config.steps}.\n",
        checkpoint_every=config.checkpoint_every,
        checkpoint_minutes=config.checkpoint_minutes,
        replaces_others=True,
    )


def _schedule(progress: float) -> float:
    """Share of the learning rate at `progress` (0 to 1): linear warm-up and cosine down to 1 %."""
    return min(1.0, (progress + 1e-3) / _WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def main() -> None:
    """Run the job named on the command line."""
    job = claim_job(TokenizerJob)
    shipped = job.config.start == "shipped"
    run_training("tokenizer", lambda report, stop: adopt_shipped(job, report) if shipped else train(job, report, stop))


if __name__ == "__main__":
    main()
