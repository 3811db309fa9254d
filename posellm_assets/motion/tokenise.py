"""Write motions as code ids: each video gets a JSON file of its own, and one that fails stops no other.

Loads torch; `batches.py` hands the work to processes of a pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from posellm_assets import lake
from posellm_assets.footage.keys import check_video_key
from posellm_assets.motion.augment import change_speed, mirror, shift_phase
from posellm_assets.motion.config import FRAMES_PER_TOKEN, TokeniseItem, TokeniseJob
from posellm_assets.motion.errors import mpjpe_mm
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.program import Report

SCHEMA_VERSION = 1
_ITEMS_AT_ONCE = 32


@dataclass(frozen=True)
class Variant:
    """A segment in one guise; `original` is the segment itself."""

    name: str
    mirrored: bool
    motion: Motion


def variants_of(segment: Motion, tokenizer: MotionTokenizer) -> list[Variant]:
    """The original first, then every other mix of mirroring, speed and phase that is long enough."""
    config = tokenizer.config
    variants = [Variant("original", False, segment)]
    for speed in sorted(config.speeds, key=lambda speed: speed != 1.0):
        played = change_speed(segment, speed)
        for mirrored in (False, True):
            guise = mirror(played) if mirrored else played
            for phase in config.phases:
                parts = [
                    "mirrored" if mirrored else "",
                    f"speed-{speed:g}" if speed != 1.0 else "",
                    f"phase-{phase}" if phase else "",
                ]
                name = "_".join(part for part in parts if part)
                if name and len(guise) - phase >= config.min_frames:
                    variants.append(Variant(name, mirrored, shift_phase(guise, phase)))
    return variants


def tokenise(job: TokeniseJob, report: Report) -> dict[str, Any]:
    """Do the job and return the summary: `written`, a list of keys, and `failed`, a reason by key.

    Raises ValueError where the tokenizer cannot be read.
    """
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.load(job.tokenizer)
    written: list[str] = []
    failed: dict[str, str] = {}
    for start in range(0, len(job.items), _ITEMS_AT_ONCE):
        batch: list[tuple[TokeniseItem, list[list[Variant]]]] = []
        for item in job.items[start : start + _ITEMS_AT_ONCE]:
            key = item.motion.stem
            try:
                check_video_key(key)
                batch.append((item, _segments(item, tokenizer)))
            except (ValueError, OSError) as error:
                failed[key] = str(error)
                report(f"{key}: {error}")
        for (item, _), content in zip(batch, _write_down(batch, tokenizer), strict=True):
            lake.write_json(item.tokens, content)
            written.append(item.motion.stem)
        report(f"{len(written)} of {len(job.items)} videos written as tokens, {len(failed)} failed")
    return {"lineage": tokenizer.lineage, "written": written, "failed": failed}


def _segments(item: TokeniseItem, tokenizer: MotionTokenizer) -> list[list[Variant]]:
    motion = Motion.read(item.motion)
    tokenizer.check(motion)
    min_frames = tokenizer.config.min_frames
    segments = motion.segments(min_frames / motion.fps)
    if not segments:
        raise ValueError(f"no stretch of {min_frames} frames without a gap, which the tokenizer needs")
    return [
        variants_of(segment, tokenizer) if item.variants else [Variant("original", False, segment)]
        for segment in segments
    ]


def _write_down(
    batch: Sequence[tuple[TokeniseItem, list[list[Variant]]]], tokenizer: MotionTokenizer
) -> list[dict[str, Any]]:
    """The content of each item's token file. All variants of all items are encoded at once, which makes it fast."""
    variants = [variant for _, segments in batch for segment in segments for variant in segment]
    codes = dict(zip(map(id, variants), tokenizer.encode_many([v.motion for v in variants]), strict=True))
    originals = [segment[0] for _, segments in batch for segment in segments]
    rebuilt = dict(zip(map(id, originals), tokenizer.decode_many([codes[id(v)] for v in originals]), strict=True))
    contents = []
    for item, segments in batch:
        errors = [mpjpe_mm(rebuilt[id(s[0])], placed(s[0].motion).cut(0, len(rebuilt[id(s[0])]))) for s in segments]
        frames = [len(rebuilt[id(s[0])]) for s in segments]
        contents.append(
            {
                "schema_version": SCHEMA_VERSION,
                "key": item.motion.stem,
                "lineage": tokenizer.lineage,
                "codebook_size": tokenizer.codebook_size,
                "fps": tokenizer.fps,
                "segments": [
                    {
                        "start_s": round(s[0].motion.start_s, 4),
                        "end_s": round(
                            s[0].motion.start_s + len(codes[id(s[0])]) * FRAMES_PER_TOKEN / tokenizer.fps, 4
                        ),
                        "variants": [{"name": v.name, "mirrored": v.mirrored, "codes": codes[id(v)]} for v in s],
                    }
                    for s in segments
                ],
                "mpjpe_mm": round(float(np.average(errors, weights=frames)), 2),
            }
        )
    return contents
