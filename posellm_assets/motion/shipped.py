"""The codes that come with the package: one codebook for all footage, so that generations stay comparable.

How they were made, and from what, is told in `demo.codes`; `shipped/README.md` is their card.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from posellm_assets import files
from posellm_assets.lake import FINAL, LOSSES, RESULT
from posellm_assets.motion.config import TokenizerJob
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.tokenizer_report import held_out_figures
from posellm_assets.motion.training_data import read_segments
from posellm_assets.program import Report
from posellm_assets.training.plan import decisive

SHIPPED = Path(__file__).with_name("shipped")


def adopt_shipped(job: TokenizerJob, report: Report) -> dict[str, Any]:
    """Put the shipped codes where a training would put its own, and measure what they keep of the job's motions.

    All of them are held out: none was trained on. Returns what `result.json` holds. Raises ValueError where the motions
    are of another skeleton or frame rate.
    """
    segments = read_segments([*job.train, *job.held_out], job.config.min_frames)
    tokenizer = shipped_for(segments.all, job.config.layers)
    asked = job.config.model_dump(include={"start", "speeds", "phases", "warps", "noises_mm"})
    tokenizer = replace(tokenizer, config=tokenizer.config.model_copy(update=asked))
    figures = held_out_figures(tokenizer, segments.of_clip)
    with files.whole_folder(job.out / FINAL) as folder:
        tokenizer.save(folder)
    (job.out / LOSSES).unlink(missing_ok=True)  # of a training of own codes that did not come to its end
    result = {
        "identity": {"tokenizer": decisive(job.config.model_dump(mode="json"))},
        "lineage": tokenizer.lineage,
        "seed": tokenizer.seed,
        "too_short": segments.too_short,
        "held_out": figures,
        "config": tokenizer.config.model_dump(mode="json"),
    }
    files.write_json(job.out / RESULT, result)
    report(f"{tokenizer.lineage}, shipped: {figures['mpjpe_mm']} mm on {len(segments.of_clip)} clips")
    return result


def shipped_for(motions: Sequence[Motion], layers: int) -> MotionTokenizer:
    """The shipped codes, as many layers of them as are asked for or there are.

    Raises ValueError where they cannot write such motions.
    """
    tokenizer = MotionTokenizer.load(SHIPPED)
    for motion in motions:
        if (motion.skeleton, motion.fps) != (tokenizer.skeleton, tokenizer.fps):
            raise ValueError(
                f"the shipped codes are for skeleton {tokenizer.skeleton.name} at {tokenizer.fps} frames/s, and the "
                f"lake has {motion.skeleton.name} at {motion.fps}: set tokenizer.start: own"
            )
    return tokenizer.coarse(layers) if layers < tokenizer.config.layers else tokenizer
