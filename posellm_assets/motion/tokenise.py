"""Write motions as code ids: each video gets a JSON file of its own, and one that fails stops no other.

Who hands out the work imports this too: torch is loaded where the work is done.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import numpy as np

from posellm_assets.keys import check_video_key
from posellm_assets.motion.augment import add_noise, change_speed, mirror, shift_phase, warp_time
from posellm_assets.motion.config import TokeniseItem, TokeniseJob
from posellm_assets.motion.errors import mpjpe_mm
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed
from posellm_assets.motion.tokens import ORIGINAL, MotionTokens, TokenSegment, TokenVariant
from posellm_assets.problems import attempted, sentence

if TYPE_CHECKING:
    from posellm_assets.motion.tokenizer import MotionTokenizer

_ITEMS_AT_ONCE = 32


@dataclass(frozen=True)
class Variant:
    """A segment, augmented in one way; `original` is the segment itself."""

    name: str
    mirrored: bool
    motion: Motion


def variants_of(segment: Motion, tokenizer: "MotionTokenizer") -> list[Variant]:
    """The original first, every other mix of mirroring, speed and phase that is long enough, then what is asked for."""
    config = tokenizer.config
    variants = [Variant(ORIGINAL, False, segment)]
    for speed in sorted(config.speeds, key=lambda speed: speed != 1.0):
        played = change_speed(segment, speed)
        for mirrored in (False, True):
            augmented = mirror(played) if mirrored else played
            for phase in config.phases:
                parts = [
                    "mirrored" if mirrored else "",
                    f"speed-{speed:g}" if speed != 1.0 else "",
                    f"phase-{phase}" if phase else "",
                ]
                name = "_".join(part for part in parts if part)
                if name and len(augmented) - phase >= config.min_frames:
                    variants.append(Variant(name, mirrored, shift_phase(augmented, phase)))
    # The segment's own content is the seed: a variant is the same whenever and beside whatever it is made.
    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(segment.joints).tobytes()))
    bent = [(f"warp-{strength:g}", warp_time(segment, strength, rng)) for strength in config.warps]
    noisy = [(f"noise-{noise_mm:g}", add_noise(segment, noise_mm, rng)) for noise_mm in config.noises_mm]
    for name, augmented in bent + noisy:
        variants += [Variant(name, False, augmented), Variant(f"mirrored_{name}", True, mirror(augmented))]
    return variants


def tokenise(job: TokeniseJob) -> dict[str, Any]:
    """Do the job and return the summary: `written`, a list of keys, and `failed`, a reason by key.

    Raises ValueError where the tokenizer cannot be read.
    """
    import torch

    from posellm_assets.motion.tokenizer import MotionTokenizer

    torch.set_num_threads(1)
    report = partial(print, flush=True)
    tokenizer = MotionTokenizer.load(job.tokenizer)
    written: list[str] = []
    failed: dict[str, str] = {}
    for start in range(0, len(job.items), _ITEMS_AT_ONCE):
        batch: list[tuple[TokeniseItem, list[list[Variant]]]] = []
        for item in job.items[start : start + _ITEMS_AT_ONCE]:
            key = item.motion.stem
            segments = attempted(lambda item: _segments(item, tokenizer), item)
            if isinstance(segments, Exception):
                failed[key] = sentence(segments)
                report(f"{key}: {failed[key]}\n{''.join(format_exception(segments))}")
            else:
                batch.append((item, segments))
        for (item, _), tokens in zip(batch, _tokens_of(batch, tokenizer), strict=True):
            tokens.write(item.tokens)
            written.append(item.motion.stem)
        report(f"{len(written)} of {len(job.items)} videos written as tokens, {len(failed)} failed")
    return {"lineage": tokenizer.lineage, "written": written, "failed": failed}


def _segments(item: TokeniseItem, tokenizer: "MotionTokenizer") -> list[list[Variant]]:
    check_video_key(item.motion.stem)
    motion = Motion.read(item.motion)
    tokenizer.check(motion)
    min_frames = tokenizer.config.min_frames
    segments = motion.segments(min_frames / motion.fps)
    if not segments:
        raise ValueError(f"no stretch of {min_frames} frames without a gap, which the tokenizer needs")
    return [
        variants_of(segment, tokenizer) if item.variants else [Variant(ORIGINAL, False, segment)]
        for segment in segments
    ]


def _tokens_of(
    batch: Sequence[tuple[TokeniseItem, list[list[Variant]]]], tokenizer: "MotionTokenizer"
) -> list[MotionTokens]:
    """The tokens of each item. All variants of all items are encoded at once, which makes it fast."""
    motions = [variant.motion for _, segments in batch for segment in segments for variant in segment]
    codes = iter(tokenizer.encode_many(motions))
    coded = [[[(variant, next(codes)) for variant in segment] for segment in segments] for _, segments in batch]
    decoded = iter(tokenizer.decode_many([segment[0][1] for segments in coded for segment in segments]))
    lineage = tokenizer.lineage
    of_items = []
    for (item, _), segments in zip(batch, coded, strict=True):
        entries, errors_mm = [], []
        for segment in segments:
            original, rebuilt = segment[0][0].motion, next(decoded)
            errors_mm.append(mpjpe_mm(rebuilt, placed(original).cut(0, len(rebuilt))))
            entries.append(
                TokenSegment(
                    start_s=round(original.start_s, 4),
                    end_s=round(original.start_s + rebuilt.duration_s, 4),
                    variants=tuple(
                        TokenVariant(name=variant.name, mirrored=variant.mirrored, codes=tuple(ids))
                        for variant, ids in segment
                    ),
                )
            )
        error_mm = float(np.average(errors_mm, weights=[len(entry.codes) for entry in entries]))
        of_items.append(
            MotionTokens(
                key=item.motion.stem,
                lineage=lineage,
                codebook_size=tokenizer.codebook_size,
                codes_per_step=tokenizer.codes_per_step,
                fps=tokenizer.fps,
                segments=tuple(entries),
                mpjpe_mm=round(error_mm, 2),
            )
        )
    return of_items
