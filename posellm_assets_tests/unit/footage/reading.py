"""What is asked of every file that is read."""

import math
from pathlib import Path

import numpy as np

from posellm_assets.footage.video import frames


def check_pieces(path: Path, times: list[float], piece_s: float) -> None:
    """Reading begun in the middle gives the same frames as reading all: no time twice, none lost, the same pictures."""
    edges = [index * piece_s for index in range(math.ceil((times[-1] + 1e-3) / piece_s))]
    found: list[float] = []
    for start_s in edges:
        found += [frame.time_s for frame in frames(path, start_s, start_s + piece_s)]
    assert found == times
    middle = edges[len(edges) // 2]
    whole = next(frame for frame in frames(path) if frame.time_s >= middle)
    assert np.array_equal(whole.rgb, next(frames(path, middle)).rgb)
