"""What differs from a reference, drawn into the frames in which it differs."""

from pathlib import Path

import cv2
import numpy as np

from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.coaching.live.drawing import draw_message, opened, small, still
from posellm_assets.files import write_bytes
from posellm_assets.footage.video import frames


def draw_differences(video: Path, label: CoachingLabel, out: Path) -> bool:
    """Write a JPEG with a still for each difference of a label, side by side; False where there is none to draw.

    In red is where a limb is, in green where it is in the reference. Raises UnreadableVideo.
    """
    wanted = [(one, one.visuals) for one in label.differences if one.visuals]
    stills: dict[int, np.ndarray] = {}
    nearest = [np.inf] * len(wanted)
    for frame in frames(video) if wanted else ():
        for place, (one, visuals) in enumerate(wanted):
            if (apart_s := abs(frame.time_s - one.time_s)) < nearest[place]:
                nearest[place] = apart_s
                stills[place] = opened(still(small(frame.rgb), visuals)).copy()
    if not stills:
        return False
    for place, (one, _) in enumerate(wanted):
        draw_message(stills[place], f"{one.time_s:.1f} s: {one.script}")
    row = np.hstack([stills[place] for place in range(len(wanted))])
    write_bytes(out, cv2.imencode(".jpg", row[..., ::-1])[1].tobytes())
    return True
