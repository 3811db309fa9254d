"""Small real videos for tests."""

from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, variant: int = 0, frame_count: int = 6) -> Path:
    """Write an MP4 of a bright square that moves, 64 x 48 at 10 fps; another `variant` is other content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frame_count):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[8 + 3 * number : 24 + 3 * number, 8:24] = (200, 40 + variant % 200, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    if variant:
        with path.open("ab") as stream_out:
            stream_out.write(free_box(variant.to_bytes(8, "big")))
    return path


def free_box(content: bytes) -> bytes:
    """An MP4 box that players skip: it changes a file's hash and nothing that is seen."""
    return (8 + len(content)).to_bytes(4, "big") + b"free" + content
