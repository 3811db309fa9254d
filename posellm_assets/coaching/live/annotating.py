"""The annotated video of a session, frame by frame as it is coached."""

from collections.abc import Iterable, Iterator

import numpy as np

from posellm_assets.coaching.live.drawing import draw_inset, draw_message, mark_joint, opened
from posellm_assets.coaching.live.session import Moment, Remark
from posellm_assets.poses.drawing import draw_corner, draw_skeleton

SHOWN_S = 4.0


def annotated(moments: Iterable[Moment]) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, (H, W, 3) uint8 RGB) of each moment; a remark stays for `SHOWN_S` or until the next."""
    remark: Remark | None = None
    inset: np.ndarray | None = None
    for moment in moments:
        if moment.remark is not None:
            remark = moment.remark
            inset = opened(remark.still) if remark.still is not None else None
        time_s = moment.sight.frame.time_s
        if remark is not None and time_s > remark.time_s + SHOWN_S:
            remark = None
        yield time_s, _drawn(moment, remark, inset)


def _drawn(moment: Moment, remark: Remark | None, inset: np.ndarray | None) -> np.ndarray:
    picture, landmarks = moment.sight.frame.rgb.copy(), moment.sight.landmarks
    if landmarks is not None:
        draw_skeleton(picture, landmarks)
    if moment.exercise:
        draw_corner(picture, f"{moment.exercise}  {moment.repetitions}")
    if remark is None:
        return picture
    if landmarks is not None and remark.point and remark.point.joint:
        mark_joint(picture, landmarks, remark.point.joint, remark.point.side)
    if inset is not None:
        draw_inset(picture, inset)
    draw_message(picture, remark.text)
    return picture
