"""Motion while it is filmed: codes and features of every step, a fixed delay after they were seen.

What `from_poses` does to a whole clip is done here to the last seconds: the same smoothing, the same filled gaps, the
same network. Only what a clip knows as a whole comes from what has been seen so far: the size of the body, the heading
with which the motion began, and its end, which for the network lies `delay_s` after the window.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import (
    REFERENCE_SIZE_M,
    UNKNOWN,
    body_of,
    bone_lengths_m,
    joints_at,
    size_m,
    standing_at_origin,
)
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode, heading, turn
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.poses.quality import in_view

DELAY_S = 0.4
_MEASURED_S = 30.0  # how much of the past says how large the body is


@dataclass(frozen=True, eq=False)
class LiveWindow:
    """A step of a motion: its `codes` by the tokenizer, and `features` (frames_per_step, D) float32.

    Times are seconds of the stream; features are those of `representation.encode`.
    """

    start_s: float
    end_s: float
    codes: tuple[int, ...]
    features: np.ndarray


class LiveTokens:
    """Writes landmarks as windows while they come.

    A window depends on no frame later than `delay_s` after its end, and comes with the first push after that. A cut
    ends a motion, and so does somebody out of view for longer than `config.gap_s`: no window holds such a gap, and the
    next one begins with the first frame after it.
    """

    def __init__(self, tokenizer: MotionTokenizer, config: MotionConfig, delay_s: float = DELAY_S):
        """Raises ValueError for another frame rate than the tokenizer's, or a delay that cannot tell a gap."""
        if config.fps != tokenizer.fps:
            raise ValueError(f"this tokenizer is for {tokenizer.fps} frames/s, not {config.fps}")
        if delay_s <= config.gap_s:
            raise ValueError(f"within a delay of {delay_s} s no gap of {config.gap_s} s can be told: make it longer")
        self.tokenizer, self.config, self.delay_s = tokenizer, config, delay_s
        self._kept_s = (
            (tokenizer.steps_back + 1) * tokenizer.frames_per_step + config.smoothing_frames
        ) / config.fps + 2 * delay_s
        self._frame_times_s: deque[float] = deque()
        self._cuts_s: deque[float] = deque()
        self._joints: deque[tuple[float, np.ndarray]] = deque()
        self._lengths: deque[tuple[float, np.ndarray]] = deque()
        self._origin_s: float | None = None  # of the grid of even times: the first frame with the body in view
        self._motion_start = 0  # frame of the grid with which the motion began
        self._next_start = 0  # and with which the next window begins
        self._first_yaw = 0.0  # the heading of the first frame of the motion
        self._yaw = 0.0  # and of the last frame that was given

    def push(self, time_s: float, landmarks: np.ndarray | None, is_cut: bool = False) -> list[LiveWindow]:
        """Take a frame, give the windows that it completes.

        `landmarks` (33, 8) has the channels of `poses.CHANNELS`; None where nobody is seen. The first frame after a cut
        (`is_cut`) ends a motion. Raises ValueError for a frame that is not later than the one before.
        """
        if self._frame_times_s and time_s <= self._frame_times_s[-1]:
            raise ValueError(f"a frame at {time_s} s came after one at {self._frame_times_s[-1]} s")
        self._frame_times_s.append(time_s)
        if is_cut:
            self._cuts_s.append(time_s)
        if landmarks is not None and self._shows_body(landmarks):
            joints = body_of(landmarks[None, :, 5:8])
            self._joints.append((time_s, joints[0]))
            self._lengths.append((time_s, bone_lengths_m(joints)[0]))
            self._origin_s = time_s if self._origin_s is None else self._origin_s
        windows = []
        while self._origin_s is not None and self._complete_s(self._origin_s) <= time_s:
            window = self._window(self._origin_s)
            windows += [window] if window else []
        self._forget(time_s)
        return windows

    def _shows_body(self, landmarks: np.ndarray) -> bool:
        return bool(in_view(landmarks[None, :, :3], landmarks[None, :, 3], self.config.min_visibility)[0])

    def _complete_s(self, origin_s: float) -> float:
        """When the next window can be given."""
        return origin_s + (self._next_start + self.tokenizer.frames_per_step) / self.config.fps + self.delay_s

    def _window(self, origin_s: float) -> LiveWindow | None:
        """The next window, and the one after is then next; None where the body was out of view."""
        until_s = self._complete_s(origin_s)
        start = max(self._motion_start, self._next_start - self.tokenizer.steps_back * self.tokenizer.frames_per_step)
        frames = np.arange(start, int((until_s - origin_s) * self.config.fps + 1e-6) + 1)
        joints = self._seen(origin_s + frames / self.config.fps, until_s)
        known = np.isfinite(joints).all(axis=(1, 2))
        here = slice(self._next_start - start, self._next_start - start + self.tokenizer.frames_per_step)
        if not known[here].all():
            self._next_start += self.tokenizer.frames_per_step - int(np.argmin(known[here][::-1]))
            self._motion_start = self._next_start
            return None
        stop = here.stop + int(np.argmin([*known[here.stop :], False]))
        # Turned by the last heading, which somebody who lies on a side for longer than these frames so keeps.
        joints = turn(joints[:stop], -self._yaw).astype(np.float32)
        motion = Motion(joints, self.config.fps, BODY, np.zeros(stop, bool), UNKNOWN)
        yaw = self._yaw + heading(joints, BODY)
        if start == self._motion_start:
            self._first_yaw = float(yaw[0])
        first_code = here.start // self.tokenizer.frames_per_step * self.tokenizer.codes_per_step
        codes = self.tokenizer.encode(motion, self._first_yaw - self._yaw)
        self._yaw = float(yaw[here.stop - 1])
        self._next_start += self.tokenizer.frames_per_step
        return LiveWindow(
            start_s=origin_s + (self._next_start - self.tokenizer.frames_per_step) / self.config.fps,
            end_s=origin_s + self._next_start / self.config.fps,
            codes=tuple(codes[first_code : first_code + self.tokenizer.codes_per_step]),
            features=encode(motion)[here].astype(np.float32),
        )

    def _seen(self, wanted_s: np.ndarray, until_s: float) -> np.ndarray:
        """(M, J, 3) joints at the wanted times as a motion has them, known from the frames up to `until_s` alone."""
        frame_times_s = [time_s for time_s in self._frame_times_s if time_s <= until_s]
        observed = [(time_s, joints) for time_s, joints in self._joints if time_s <= until_s]
        lengths_m = [lengths for time_s, lengths in self._lengths if until_s - _MEASURED_S < time_s <= until_s]
        if not observed:
            return np.full((len(wanted_s), len(BODY), 3), np.nan)
        frame_s = float(np.median(np.diff(frame_times_s))) if len(frame_times_s) > 1 else 0.0
        times_s, joints = zip(*observed, strict=True)
        cuts_s = [cut_s for cut_s in self._cuts_s if cut_s <= until_s]
        resampled = joints_at(np.array(times_s), np.stack(joints), wanted_s, frame_s, self.config, cuts_s)
        return standing_at_origin(resampled * (REFERENCE_SIZE_M / size_m(np.stack(lengths_m))))

    def _forget(self, now_s: float) -> None:
        while self._frame_times_s[0] < now_s - self._kept_s:
            self._frame_times_s.popleft()
        while self._cuts_s and self._cuts_s[0] < now_s - self._kept_s:
            self._cuts_s.popleft()
        while self._joints and self._joints[0][0] < now_s - self._kept_s:
            self._joints.popleft()
        while self._lengths and self._lengths[0][0] < now_s - _MEASURED_S - self._kept_s:
            self._lengths.popleft()


def windows_of(
    subject: SubjectPoses, tokenizer: MotionTokenizer, config: MotionConfig, delay_s: float = DELAY_S
) -> list[LiveWindow]:
    """The windows that `LiveTokens` would have given, had the stored poses of a person come one by one."""
    live, cuts_s = LiveTokens(tokenizer, config, delay_s), set(subject.cuts_s)
    landmarks = np.concatenate(
        [subject.landmarks, subject.visibility[..., None], subject.presence[..., None], subject.world], axis=-1
    )
    return [
        window
        for time_s, seen, frame in zip(subject.time_s.tolist(), subject.seen, landmarks, strict=True)
        for window in live.push(time_s, frame if seen else None, time_s in cuts_s)
    ]
