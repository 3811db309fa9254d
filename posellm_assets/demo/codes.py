"""Train the codes that come with the package, from nothing but drawn bodies: `python -m posellm_assets.demo.codes OUT`

On the same machine with the same versions, the same numbers give the same weights; elsewhere the same figures.
`OUT/training/final` and `OUT/training/result.json` are what `motion/shipped` holds. A killed training resumes.
"""

import argparse
import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from posellm_assets.demo.bodies import draw_bodies
from posellm_assets.keys import video_key
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.train_tokenizer import train

CLIPS, HELD_OUT = 5_000, 200
SEED, HELD_OUT_SEED = 0, 1


def main() -> None:
    """Draw the bodies, train on them and report what the codes keep of other bodies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--steps", type=int, default=30_000)
    arguments = parser.parse_args()
    config = TokenizerConfig(
        start="own", layers=2, steps=arguments.steps, frames_per_batch=2048, learning_rate=2e-3, checkpoint_minutes=10
    )
    job = TokenizerJob(
        train=_written(draw_bodies(arguments.clips, SEED), arguments.out / "train"),
        held_out=_written(draw_bodies(HELD_OUT, HELD_OUT_SEED), arguments.out / "held_out"),
        out=arguments.out / "training",
        config=config,
        seed=SEED,
    )
    train(job, partial(print, flush=True))


def _written(bodies: Iterable[Motion], folder: Path) -> list[Path]:
    paths = []
    for number, body in enumerate(bodies):
        name = f"{folder.name}-{number}"
        path = folder / f"{video_key('bodies', name, hashlib.sha256(name.encode()).hexdigest())}.parquet"
        body.write(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    main()
