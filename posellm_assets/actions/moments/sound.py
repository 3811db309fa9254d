"""The sound of a hit: moments at which a recording suddenly becomes louder in the range in which impacts ring."""

from pathlib import Path

import av
import numpy as np
from scipy.signal import butter, find_peaks, sosfilt

from posellm_assets.footage.containers import UnreadableVideo, first_picture_s, open_container

_RATE_HZ = 16_000
_RANGE_HZ = (1_000, 7_000)
_FRAME_S = 0.01
_LEAST_APART_S = 0.1
# An onset is this many times as loud as the second before it.
_LOUDER = 6.0


def onsets(video: Path) -> list[tuple[float, float]]:
    """(time in s, strength from 0 to 1) of sudden sounds, in order; empty where the video has no sound.

    Raises UnreadableVideo where its sound cannot be decoded.
    """
    heard = _decoded(video)
    if heard is None or len(heard[1]) < _RATE_HZ // 10:
        return []
    start_s, samples = heard
    ringing = sosfilt(butter(4, _RANGE_HZ, "bandpass", fs=_RATE_HZ, output="sos"), samples)
    size = int(_FRAME_S * _RATE_HZ)
    energy = (ringing[: len(ringing) // size * size].reshape(-1, size) ** 2).mean(axis=1) + 1e-10
    before = np.array([np.median(energy[max(0, frame - 100) : max(1, frame)]) for frame in range(len(energy))])
    rise = energy / np.maximum(before, np.median(energy))
    peaks, _ = find_peaks(rise, height=_LOUDER, distance=round(_LEAST_APART_S / _FRAME_S))
    return [(start_s + float(peak) * _FRAME_S, float(1 - _LOUDER / rise[peak])) for peak in peaks]


def _decoded(video: Path) -> tuple[float, np.ndarray] | None:
    """When the sound begins, in seconds after the first frame of the picture, and its samples (N,), mono."""
    try:
        with open_container(video) as container:
            if not container.streams.audio:
                return None
            sound = container.streams.audio[0]
            start_s = float((sound.start_time or 0) * (sound.time_base or 0))
            picture_s = first_picture_s(video) if container.streams.video else start_s
            resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE_HZ)
            frames = [part for frame in container.decode(sound) for part in resampler.resample(frame)]
            frames += resampler.resample(None)
    except av.FFmpegError as error:
        raise UnreadableVideo(
            f"the sound cannot be decoded ({error.strerror}); go on without it: recognition.hits.use_sound"
        ) from error
    parts = [frame.to_ndarray().ravel() for frame in frames]
    return (start_s - picture_s, np.concatenate(parts)) if parts else None
