"""Rendered athletes with known truth, and bodies of numbers."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.footage.video import frames


@pytest.fixture(scope="session")
def athlete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a rendered athlete doing jumping jacks; the truth lies beside the clip."""
    raw = tmp_path_factory.mktemp("raw")
    clip = next(clip for clip in plan() if "jack" in clip.label)
    return render_clip(replace(clip, duration_s=3.0), raw)


@pytest.fixture(scope="session")
def pictures(athlete: Path) -> list[tuple[float, np.ndarray]]:
    """(time_s, rgb) of the athlete's frames."""
    return [(frame.time_s, frame.rgb) for frame in frames(athlete)]


def write_video(path: Path, pictures: list[np.ndarray], fps: int = 24) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "16"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path
