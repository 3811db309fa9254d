"""What a tokenizer keeps of motions that it was not trained on: the figures of its report."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posellm_assets.keys import sport_of
from posellm_assets.motion import errors, representation
from posellm_assets.motion.drift import error_limit_mm
from posellm_assets.motion.held_out import HeldOut, MotionErrors
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer


@dataclass(frozen=True)
class ClipErrors:
    """One held-out clip after encoding and decoding; each figure is the mean over its stretches.

    `mean_pose_mm` is the error of somebody who stands still in the clip's own mean pose and turns as the clip does.
    Feet skate where they are planted in the original; None where none is.
    """

    key: str
    skeleton: str
    frames: int
    mpjpe_mm: float
    aligned_mpjpe_mm: float
    global_mpjpe_mm: float
    mean_pose_mm: float
    acceleration_m_per_s2: float
    foot_skate_m_per_s: float | None
    foot_skate_original_m_per_s: float | None


def held_out_figures(tokenizer: MotionTokenizer, clips: Mapping[str, Sequence[Motion]]) -> dict[str, Any]:
    """A `HeldOut` as JSON holds it: of clips (their stretches by video key), by the skeleton that they came from too.

    Codes used are over all clips, perplexity too, of each place in a step.
    """
    if not clips:
        none = HeldOut(clips=0, frames=0, reason="no held-out clip has enough frames in a row")
        return none.model_dump(mode="json")
    stretches = [(key, stretch) for key, of_clip in clips.items() for stretch in of_clip]
    codes = tokenizer.encode_many([stretch for _, stretch in stretches])
    decoded = tokenizer.decode_many(codes)
    by_clip: dict[str, list[ClipErrors]] = defaultdict(list)
    for (key, stretch), rebuilt in zip(stretches, decoded, strict=True):
        by_clip[key].append(_stretch_errors(key, stretch, rebuilt))
    rows = [_mean_of(of_clip) for of_clip in by_clip.values()]
    limit_mm = error_limit_mm([row.mpjpe_mm for row in rows])
    found = HeldOut(
        **dict(_means(rows)),
        **_code_use(codes, tokenizer),
        error_limit_mm=None if limit_mm is None else round(limit_mm, 2),
        by_sport=_by(rows, [sport_of(row.key) for row in rows]),
        by_skeleton=_by(rows, [row.skeleton for row in rows]),
    )
    return found.model_dump(mode="json")


def _stretch_errors(key: str, stretch: Motion, rebuilt: Motion) -> ClipErrors:
    truth = representation.placed(stretch).cut(0, len(rebuilt))
    planted, poses = errors.planted_feet(truth), errors.aligned(truth)
    return ClipErrors(
        key=key,
        skeleton=stretch.parameters.get("source_skeleton", stretch.skeleton.name),
        frames=len(truth),
        mpjpe_mm=errors.mpjpe_mm(rebuilt, truth),
        aligned_mpjpe_mm=errors.aligned_mpjpe_mm(rebuilt, truth),
        global_mpjpe_mm=errors.global_mpjpe_mm(rebuilt, truth),
        mean_pose_mm=1000 * float(np.linalg.norm(poses - poses.mean(axis=0), axis=-1).mean()),
        acceleration_m_per_s2=errors.acceleration_error_m_per_s2(rebuilt, truth),
        foot_skate_m_per_s=errors.foot_skate_m_per_s(rebuilt, planted),
        foot_skate_original_m_per_s=errors.foot_skate_m_per_s(truth, planted),
    )


def _mean_of(stretches: Sequence[ClipErrors]) -> ClipErrors:
    first = stretches[0]
    figures = {name: _mean(stretches, name, 6) for name in _FIGURES}
    return ClipErrors(first.key, first.skeleton, sum(row.frames for row in stretches), **figures)  # type: ignore[arg-type]


_FIGURES = (
    "mpjpe_mm",
    "aligned_mpjpe_mm",
    "global_mpjpe_mm",
    "mean_pose_mm",
    "acceleration_m_per_s2",
    "foot_skate_m_per_s",
    "foot_skate_original_m_per_s",
)


def _means(rows: Sequence[ClipErrors]) -> MotionErrors:
    return MotionErrors(
        clips=len(rows),
        frames=sum(row.frames for row in rows),
        mpjpe_mm=_mean(rows, "mpjpe_mm"),
        aligned_mpjpe_mm=_mean(rows, "aligned_mpjpe_mm"),
        global_mpjpe_mm=_mean(rows, "global_mpjpe_mm"),
        baseline_mean_pose_mm=_mean(rows, "mean_pose_mm"),
        acceleration_error_m_per_s2=_mean(rows, "acceleration_m_per_s2"),
        foot_skate_m_per_s=_mean(rows, "foot_skate_m_per_s", 3),
        foot_skate_original_m_per_s=_mean(rows, "foot_skate_original_m_per_s", 3),
        foot_skate_clips=sum(row.foot_skate_m_per_s is not None for row in rows),
    )


def _mean(rows: Sequence[ClipErrors], name: str, digits: int = 2) -> float | None:
    known = [value for row in rows if (value := getattr(row, name)) is not None]
    return round(float(np.mean(known)), digits) if known else None


def _by(rows: Sequence[ClipErrors], groups: Sequence[str]) -> dict[str, MotionErrors]:
    return {
        group: _means([row for row, its in zip(rows, groups, strict=True) if its == group])
        for group in sorted(set(groups))
    }


def _code_use(codes: Sequence[Sequence[int]], tokenizer: MotionTokenizer) -> dict[str, Any]:
    ids = np.concatenate([np.asarray(of_stretch) for of_stretch in codes])
    uses = np.bincount(ids, minlength=tokenizer.codebook_size).reshape(tokenizer.codes_per_step, -1)
    shares = uses / uses.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1)
    return {
        "codes": len(ids),
        "codes_used": int((uses > 0).sum()),
        "codebook_size": tokenizer.codebook_size,
        "perplexity": [round(float(value), 1) for value in np.exp(entropy)],
    }
