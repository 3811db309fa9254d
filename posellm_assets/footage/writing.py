"""Writing video: pictures as H.264 in MP4, the same pictures to the same bytes.

The bytes depend on the version of PyAV (its FFmpeg and x264) and on the instruction set that it chooses at run time.
"""

from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import av
import numpy as np

from posellm_assets.files import write_atomic

Layout = Literal["rgb24", "bgr24"]

_TICK_S = Fraction(1, 90_000)


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float, layout: Layout = "rgb24") -> None:
    """Write (H, W, 3) uint8 pictures, `fps` a second, as they come; the file appears when the last one is written.

    An odd last row or column is cut off. Raises ValueError where there is no picture.
    """
    rate = Fraction(fps).limit_denominator(1000)
    encode = partial(_encode, rate=rate, tick_s=1 / rate, crf=22, threads=1, layout=layout)
    write_atomic(path, partial(encode, pictures=enumerate(pictures)))


def write_timed_video(
    path: Path, pictures: Iterable[tuple[float, np.ndarray]], fps: float, crf: int = 25, end_s: float | None = None
) -> None:
    """Write (time in s, RGB picture) as `write_video` does. Times may be uneven; `fps` is about how many a second there
    are, and the last picture is shown until `end_s` where that is given.

    With a lower `crf` the pictures are truer and the file is larger: 22 makes it about 1.4 times as large as 25.
    """
    ticks = ((round(time_s / _TICK_S), rgb) for time_s, rgb in pictures)
    rate = Fraction(max(1, round(fps)))
    # On two threads a picture is encoded while a live session looks at the next one.
    encode = partial(_encode, rate=rate, tick_s=_TICK_S, crf=crf, threads=2, layout="rgb24")
    write_atomic(path, partial(encode, pictures=ticks, end=None if end_s is None else round(end_s / _TICK_S)))


def _encode(
    stream: BinaryIO,
    pictures: Iterable[tuple[int, np.ndarray]],
    rate: Fraction,
    tick_s: Fraction,
    crf: int,
    threads: int,
    layout: Layout,
    end: int | None = None,
) -> None:
    """Encode pictures, each with its time in ticks. The number of threads changes the bytes: never leave it to x264."""
    with av.open(stream, "w", format="mp4") as container:
        track = None
        for ticks, rgb in pictures:
            height, width = (side // 2 * 2 for side in rgb.shape[:2])
            if track is None:
                track = container.add_stream("libx264", rate=rate)
                track.width, track.height, track.pix_fmt = width, height, "yuv420p"
                track.codec_context.time_base = track.time_base = tick_s
                # x264's macroblock tree reads memory that it has not written: with it the bytes change now and then.
                options = {"crf": str(crf), "preset": "veryfast", "threads": str(threads)}
                track.options = {**options, "x264-params": "mbtree=0", **({} if end is None else {"bf": "0"})}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[:height, :width]), format=layout)
            picture.pts, picture.time_base = ticks, tick_s
            container.mux(track.encode(picture))
        if track is None:
            raise ValueError("there is no picture to make a video of")
        packets = track.encode()
        if end is not None and packets:
            packets[-1].duration = end - packets[-1].pts  # without B-frames this is the last picture's
        container.mux(packets)
