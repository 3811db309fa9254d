"""What can be measured of an exercise in a clip: quantities over time, repetitions, and joints in the picture.

Rules, teachers' claims and their verification all read the body through this module, so that "the angle measured" means
one thing. What is right or wrong is the business of `rules`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from posellm_assets.coaching.labels.picture import SIDES, VISIBLE, Signals, shots, signals_of, turn_deg
from posellm_assets.coaching.labels.sides import Moved, Sides, Span, put_together
from posellm_assets.motion.motion import Motion, runs
from posellm_assets.poses.landmarks import NAMES
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.texts.repetition import SMOOTHING_S, finite_runs
from posellm_assets.texts.signals import angle_signals, axes, point

AT_DEPTH_S = 0.1  # around the deepest moment, the median over twice this
PROMINENT = 0.2  # a repetition reaches at least this share of the clip's range: a fault may cost half of it
UNDER_WAY = 0.15  # it begins and ends where its signal leaves and reaches this share of its height
CLEAR = 0.8  # visibility of a leg of which it is told where its knee points: half hidden it is off by 20 degrees
UNSURE_S = 0.3  # landmarks may be lost or wrong for so long without ending what is held
WHOLE = 0.35  # it is whole where its signal comes from and returns to the lowest share of the clip's range,
BETWEEN = 0.5  # and to this one between two repetitions


@dataclass(frozen=True)
class Repetition:
    """One repetition: frames of the motion from `start` to `end`, `peak` its farthest point, and their times (s).

    `side` is the only side that moves in it, None for both; `in_turn` says that they move one after the other, `held`
    that nothing moves: it is a time for which something is held.
    """

    number: int
    start: int
    peak: int
    end: int
    start_s: float
    peak_s: float
    end_s: float
    side: str | None = None
    in_turn: bool = False
    held: bool = False


@dataclass(frozen=True)
class MeasuredClip:
    """A video and what was measured of the one person in it.

    `exercise` is the label or what was recognised; `sheet` a JPEG of frames with the skeleton, for teachers who look.
    """

    key: str
    exercise: str | None
    subject: SubjectPoses
    motion: Motion
    sheet: bytes = b""

    @property
    def duration_s(self) -> float:
        """How long the video is, to the end of its last frame."""
        return float(self.subject.time_s[-1]) + 1 / self.subject.fps

    @cached_property
    def signals(self) -> Signals:
        """(T,) over the motion's frames by (quantity, side): the joint angles of `angle_signals` and `picture_signals`.

        `both` is the mean of left and right, or the side that is seen; of arms the higher one.
        """
        found: Signals = {}
        for (joint, side), values in angle_signals(self.motion).items():
            if joint in ("knee", "hip", "elbow", "trunk"):
                found[f"{joint}_angle", side or "both"] = values
        for joint in ("knee", "hip", "elbow"):
            seen = [found[f"{joint}_angle", side] for side in SIDES if (f"{joint}_angle", side) in found]
            if seen:
                found[f"{joint}_angle", "both"] = np.mean(seen, axis=0)
        in_picture = signals_of(self.subject, self.time_s)
        return found | {name: np.where(self.motion.known, values, np.nan) for name, values in in_picture.items()}

    @cached_property
    def _turns(self) -> list[tuple[float, float]]:
        """(end in s, degrees) of each shot."""
        subject = self.subject
        return [
            (float(subject.time_s[frames[-1]]), turn_deg(subject, frames)) for frames in shots(subject) if len(frames)
        ]

    def turned_at(self, time_s: float) -> float:
        """How far the athlete is turned from the camera in the shot of a time: 90 is seen from the side."""
        return next((turned for end_s, turned in self._turns if end_s >= time_s), self._turns[-1][1])

    @cached_property
    def time_s(self) -> np.ndarray:
        """The time of the motion's frames in the clip, (T,)."""
        return self.motion.start_s + np.arange(len(self.motion)) / self.motion.fps

    @cached_property
    def front_leg(self) -> str | None:
        """The side whose foot is farther forward, for most of the clip."""
        directions, left, right = axes(self.motion), point(self.motion, "left_ankle"), point(self.motion, "right_ankle")
        if directions is None or left is None or right is None:
            return None
        return "left" if np.nanmedian(((left - right) * directions[1]).sum(-1)) > 0 else "right"

    def landmark(self, joint: str, side: str, time_s: float) -> tuple[float, float] | None:
        """Where a joint is in the picture, as shares of width and height; None where it is not visible then.

        The joint trunk means the middle of shoulder and hip; the side both, the middle of the sides that are visible.
        """
        frame = int(np.argmin(np.abs(self.subject.time_s - time_s)))
        visible = [
            names
            for one in (SIDES if side == "both" else (side,))
            if self.subject.visibility[frame, (names := _landmarks_of(joint, one))].min() >= VISIBLE
        ]
        if not visible:
            return None
        where = self.subject.landmarks[frame, [name for names in visible for name in names], :2].mean(0)
        inside = bool(np.all((where >= 0) & (where <= 1)))
        return (float(where[0]), float(where[1])) if inside else None

    def shows(self, joint: str | None, side: str, repetition: Repetition) -> bool:
        """Whether the limb of a joint is visible for most of a repetition: a hidden one is guessed."""
        arm, leg = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
        limb, least = (arm, VISIBLE) if joint in arm else (leg, CLEAR)
        during = (self.subject.time_s >= repetition.start_s) & (self.subject.time_s <= repetition.end_s)
        visible = self.subject.visibility[during][:, [NAMES.index(f"{side}_{name}") for name in limb]]
        return bool(during.any()) and bool(np.nanmedian(visible, axis=0).min() >= least)

    def around(self, time_s: float, margin_s: float = 0.25) -> Repetition:
        """The moment at `time_s` as a stretch of frames to measure over."""
        frames = len(self.time_s) - 1
        start, peak, end = (
            int(np.clip(round((time_s + offset - self.motion.start_s) * self.motion.fps), 0, frames))
            for offset in (-margin_s, 0, margin_s)
        )
        return self._repetition(0, start, peak, end)

    def repetitions(self, quantity: str, smallest: float, sides: Sides = "together") -> list[Repetition]:
        """The stretches in which the signal of `quantity` rises by `smallest` and comes back, in order.

        Sides that move `together` are one signal. As `pairs` they may move at once, in turn or alone, and
        `put_together` says what is one repetition; with `each` every movement of a side is one.
        """
        if sides != "together":
            signals = [self.signals[quantity, side] for side in SIDES]
            swings = [np.subtract(*np.nanpercentile(one, (98, 2))) for one in signals if np.isfinite(one).any()]
            # An arm that hangs sways: that is small beside what the other one does.
            smallest = max([smallest, *(PROMINENT * swing for swing in swings)])
            left, right = (self._excursions(signal, smallest) for signal in signals)
            if sides == "each":
                found = sorted([Moved(*span, "left") for span in left] + [Moved(*span, "right") for span in right])
            else:
                found = put_together(left, right, len(self.time_s))
        else:
            both = self.signals.get((quantity, "both"))
            found = [] if both is None else [Moved(*span, None) for span in self._excursions(both, smallest)]
        return [self._repetition(number, *moved) for number, moved in enumerate(found, start=1)]

    def rises(self, signal: np.ndarray, smallest: float) -> list[Repetition]:
        """The stretches in which a signal (T,) over the motion's frames rises by `smallest` and comes back."""
        return [
            self._repetition(number, *span) for number, span in enumerate(self._excursions(signal, smallest), start=1)
        ]

    def holds(self, quantity: str, at_least: float, lasting_s: float) -> list[Repetition]:
        """The stretches of at least `lasting_s` in which the signal of `quantity` stays at `at_least` or above.

        It may leave it for as long as a moment of unsure landmarks lasts.
        """
        from scipy.ndimage import median_filter  # here, because the code server starts without SciPy

        signal = self.signals[quantity, "both"]
        frames = 2 * round(UNSURE_S * self.motion.fps) + 1
        held = median_filter((np.nan_to_num(signal, nan=-np.inf) >= at_least).astype(np.int8), frames).astype(bool)
        spans = [(first, last) for first, last in runs(held) if last - first >= lasting_s * self.motion.fps]
        return [replace(self._repetition(number, first, (first + last) // 2, last - 1), held=True)
                for number, (first, last) in enumerate(spans, start=1)]  # fmt: skip

    def _excursions(self, signal: np.ndarray, smallest: float) -> list[Span]:
        """(start, peak, end) frames of each whole rise and fall."""
        from scipy.ndimage import gaussian_filter1d  # here, because the code server starts without SciPy
        from scipy.signal import find_peaks

        spans: list[Span] = []
        if not np.isfinite(signal).any():
            return spans
        # Of each shot its own lowest, because another view shows the same posture otherwise.
        stretches = finite_runs(signal)
        lows = [float(np.percentile(signal[first:last], 2)) for first, last in stretches]
        swing = max(
            np.percentile(signal[first:last], 98) - low for (first, last), low in zip(stretches, lows, strict=True)
        )
        for (first, last), low in zip(stretches, lows, strict=True):
            run = gaussian_filter1d(signal[first:last], SMOOTHING_S * self.motion.fps / 2, mode="nearest")
            tops, _ = find_peaks(run, prominence=max(smallest, PROMINENT * swing))
            edges = [0, *tops, len(run) - 1]
            for before, top, after in zip(edges, edges[1:], edges[2:], strict=False):
                bottoms = run[before : top + 1].min(), run[top : after + 1].min()
                whole = [BETWEEN if edge not in (0, len(run) - 1) else WHOLE for edge in (before, after)]
                if any(bottom > low + share * swing for bottom, share in zip(bottoms, whole, strict=True)):
                    continue  # the clip begins or ends in the middle of it
                rising = run[before : top + 1] <= bottoms[0] + UNDER_WAY * (run[top] - bottoms[0])
                falling = run[top : after + 1] <= bottoms[1] + UNDER_WAY * (run[top] - bottoms[1])
                spans.append((first + before + int(np.flatnonzero(rising)[-1]), first + top,
                              first + top + int(np.flatnonzero(falling)[0])))  # fmt: skip
        return spans

    def _repetition(
        self, number: int, start: int, peak: int, end: int, side: str | None = None, in_turn: bool = False
    ) -> Repetition:
        start_s, peak_s, end_s = (round(float(self.time_s[frame]), 3) for frame in (start, peak, end))
        return Repetition(number, int(start), int(peak), int(end), start_s, peak_s, end_s, side, in_turn)


def _landmarks_of(joint: str, side: str) -> list[int]:
    return [NAMES.index(f"{side}_{name}") for name in (("shoulder", "hip") if joint == "trunk" else (joint,))]
