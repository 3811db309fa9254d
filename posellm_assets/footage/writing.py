"""Writing video: pictures with their times as H.264 in MP4."""

from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from posellm_assets.files import write_atomic

_TICKS_PER_S = 90_000


def write_video(path: Path, pictures: Iterable[tuple[float, np.ndarray]], fps: float) -> None:
    """Write (time in s, (H, W, 3) uint8 RGB) as they come; the file appears when the last one is written.

    Times may be uneven; `fps` is about how many a second there are. An odd last row or column is cut off. Raises
    ValueError where there is no picture.
    """
    write_atomic(path, partial(_encode, pictures=pictures, fps=fps))


def _encode(stream: BinaryIO, pictures: Iterable[tuple[float, np.ndarray]], fps: float) -> None:
    with av.open(stream, "w", format="mp4") as container:
        track = None
        for time_s, rgb in pictures:
            height, width = (side // 2 * 2 for side in rgb.shape[:2])
            if track is None:
                track = container.add_stream("libx264", rate=Fraction(max(1, round(fps))))
                track.width, track.height, track.pix_fmt = width, height, "yuv420p"
                track.codec_context.time_base = track.time_base = Fraction(1, _TICKS_PER_S)
                track.options = {"crf": "22", "preset": "veryfast"}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[:height, :width]), format="rgb24")
            picture.pts, picture.time_base = round(time_s * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
            container.mux(track.encode(picture))
        if track is None:
            raise ValueError("there is no picture to make a video of")
        container.mux(track.encode())
