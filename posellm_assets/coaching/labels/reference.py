"""A movement compared with a reference: where an exercise has no rules, or besides them.

Each repetition is brought to the same phases (begin, farthest point and end fall together), and the joints are compared
phase by phase with those of repetitions that are said to be right. What differs by more than these differ among
themselves, and by more than angles of one camera err, is told: the joints that differ most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.overlays import turned_limb
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import Difference
from posellm_assets.texts.signals import angle_signals

PHASES = 21  # of a repetition; the middle one is its farthest point
MOST_TOLD = 3
SPREADS = 2.0  # standard deviations of the reference's own repetitions
ERROR_DEG = 15.0  # of an angle that one camera measures
SMALLEST_SWING_DEG = 20.0
JOINTS = ("shoulder", "elbow", "hip", "knee")
_WHEN = ((0.15, "at the beginning"), (0.4, "on the way"), (0.6, "at the farthest point"), (0.85, "on the way back"))

Angle = tuple[str, str]
"""A joint and its side."""


@dataclass(frozen=True)
class Reference:
    """How repetitions should look: `mean` and `spread` (PHASES,) in degrees of every joint and side.

    `counted` is the joint whose angle rises or falls in a repetition, where the exercise has no rules that say it.
    """

    name: str
    repetitions: int
    mean: dict[Angle, np.ndarray]
    spread: dict[Angle, np.ndarray]
    counted: str


def reference_of(name: str, clips: Sequence[MeasuredClip]) -> Reference:
    """The reference that clips of one exercise make. Raises ValueError where no repetition is found in them."""
    swings = _swings(clips[0])
    counted = max(swings, key=lambda angle: swings[angle])[0]
    shown = [_phases(clip, one) for clip in clips for one in _repetitions(clip, counted)]
    if not shown:
        raise ValueError(
            f"{name}: no whole repetition was found in the reference; film one from its beginning to its end"
        )
    mean = {angle: np.mean([one[angle] for one in shown], axis=0) for angle in shown[0]}
    spread = {angle: np.std([one[angle] for one in shown], axis=0) for angle in shown[0]}
    return Reference(name, len(shown), mean, spread, counted)


def differences(clip: MeasuredClip, reference: Reference) -> tuple[list[Repetition], tuple[Difference, ...]]:
    """The repetitions of a clip, and the joints in which most of them differ most from the reference."""
    repetitions = _repetitions(clip, reference.counted)
    if not repetitions:
        return [], ()
    shown = [_phases(clip, one) for one in repetitions]
    found = []
    for angle, mean in reference.mean.items():
        apart = np.array([one[angle] for one in shown]) - mean
        usual = np.median(apart, axis=0)
        excess = np.abs(usual) - SPREADS * reference.spread[angle] - ERROR_DEG
        phase = int(np.argmax(np.nan_to_num(excess, nan=-np.inf)))
        if excess[phase] > 0:
            worst = int(np.argmax(np.abs(apart[:, phase])))
            found.append(
                (float(excess[phase]), _difference(clip, reference, angle, phase, repetitions[worst], shown[worst]))
            )
    return repetitions, tuple(one for _, one in sorted(found, key=lambda pair: -pair[0])[:MOST_TOLD])


def _difference(
    clip: MeasuredClip,
    reference: Reference,
    angle: Angle,
    phase: int,
    repetition: Repetition,
    shown: dict[Angle, np.ndarray],
) -> Difference:
    joint, side = angle
    share = phase / (PHASES - 1)
    value, aim = float(shown[angle][phase]), float(reference.mean[angle][phase])
    time_s = round(float(np.interp(share, (0, 0.5, 1), (repetition.start_s, repetition.peak_s, repetition.end_s))), 3)
    when = next((words for until, words in _WHEN if share < until), "at the end")
    return Difference(
        joint=joint,  # type: ignore[arg-type]
        side=side,  # type: ignore[arg-type]
        phase=round(share, 2),
        time_s=time_s,
        repetition=repetition.number,
        value=round(value, 1),
        reference=round(aim, 1),
        spread=round(float(reference.spread[angle][phase]), 1),
        script=f"Your {side} {joint} is at {value:.0f} degrees {when}; in the reference it is at {aim:.0f}.",
        visuals=turned_limb(clip, joint, side, aim - value, time_s),
    )


def _phases(clip: MeasuredClip, one: Repetition) -> dict[Angle, np.ndarray]:
    """(PHASES,) of each angle over a repetition, its farthest point in the middle."""
    half = PHASES // 2
    frames = np.concatenate([np.linspace(one.start, one.peak, half + 1)[:-1], np.linspace(one.peak, one.end, half + 1)])
    at = np.arange(len(clip.time_s))
    return {angle: np.interp(frames, at, values) for angle, values in _angles(clip).items()}


def _angles(clip: MeasuredClip) -> dict[Angle, np.ndarray]:
    return {
        (joint, side): values
        for (joint, side), values in angle_signals(clip.motion).items()
        if joint in JOINTS and side
    }


def _swings(clip: MeasuredClip) -> dict[Angle, float]:
    """How far each angle goes, in degrees."""
    return {angle: float(np.subtract(*np.nanpercentile(v, (98, 2)))) for angle, v in _angles(clip).items()}


def _repetitions(clip: MeasuredClip, counted: str) -> list[Repetition]:
    """By the rules of the exercise, else the stretches in which the joint leaves where it usually is and comes back.

    Of its sides the one counts that moves more: somebody may leave out the other, or be seen from its side.
    """
    rules = rules_of(clip.exercise)
    if rules is not None:
        return repetitions_of(clip, rules)
    swings = {angle: swing for angle, swing in _swings(clip).items() if angle[0] == counted}
    values = _angles(clip)[max(swings, key=lambda angle: swings[angle])]
    low, rest, high = np.nanpercentile(values, (2, 50, 98))
    return clip.rises(values if high - rest >= rest - low else -values, SMALLEST_SWING_DEG)
