"""What was recognised in a video, to look at: a page with its time line, and the video with everything drawn in."""

from pathlib import Path

import cv2
import numpy as np

from posellm_assets.actions.members.members import ActionClip
from posellm_assets.actions.members.opinions import NONE
from posellm_assets.actions.recognition import Recognition, SegmentRecord
from posellm_assets.actions.report import strip
from posellm_assets.files import write_bytes
from posellm_assets.footage.video import frames
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.poses.drawing import draw_corner, draw_subject, line_width
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.reports.html import filled

WIDTH = 1000  # of the time line, in the units of its drawing
_FLASH_S = 0.12


def write_timeline(recognition: Recognition, out: Path, annotated: Path | None = None) -> None:
    """Write the page; `annotated` is a video in the same folder that it plays."""
    video, last_s = Path(recognition.video), recognition.duration_s or 1.0
    classes = sorted({one.answer.action for one in recognition.segments} - {NONE})
    colours = {name: f"hsl({round(360 * number / len(classes))} 60% 50%)" for number, name in enumerate(classes)}
    colours[NONE] = "var(--other)"
    rows = [
        {
            "record": one,
            "name": class_name(recognition, one.answer.action),
            "x": round(one.start_s / last_s * WIDTH, 1),
            "width": round(max(2.0, (one.end_s - one.start_s) / last_s * WIDTH), 1),
            "at": None if one.hit_frame is None else round(one.timestamp / last_s * WIDTH, 1),
            "lane": number % 2,
            "colour": colours[one.answer.action],
            "likeliest": class_name(recognition, one.answer.likeliest),
            "strip": strip(ActionClip(one.start_s, one.end_s, video, None, None)),
        }
        for number, one in enumerate(recognition.segments)
    ]
    step = next(step for step in (0.5, 1, 2, 5, 10, 30, 60, 300, 1e9) if last_s / step <= 16)
    content = filled(
        __package__,
        "timeline.html",
        recognition=recognition,
        title=video.name,
        rows=rows,
        legend=[(class_name(recognition, name), colour) for name, colour in colours.items()],
        NONE=NONE,
        ticks=[(round(time / last_s * WIDTH, 1), f"{time:g} s") for time in np.arange(0, last_s, step).tolist()],
        width=WIDTH,
        annotated=annotated.name if annotated else None,
    )
    write_bytes(out, content.encode())


def class_name(recognition: Recognition, class_id: str) -> str:
    """What a class is called: in English where that is known."""
    names = recognition.names.get(class_id, {})
    return names.get("en") or next(iter(names.values()), class_id)


def write_annotated(video: Path, subject: SubjectPoses, recognition: Recognition, out: Path) -> None:
    """Write the video as H.264 with the subject's skeleton, what is being done, and a frame that flashes at hits."""
    drawn = ((frame.time_s, _drawn(frame.rgb.copy(), frame.time_s, subject, recognition)) for frame in frames(video))
    write_timed_video(out, drawn, recognition.fps)


def _drawn(picture: np.ndarray, time_s: float, subject: SubjectPoses, recognition: Recognition) -> np.ndarray:
    height, width = picture.shape[:2]
    draw_subject(picture, time_s, subject)
    now = [one for one in recognition.segments if one.start_s <= time_s < one.end_s]
    # Segments of neighbouring hits overlap: the one whose hit is nearest counts.
    if now:
        shown = min(now, key=lambda one: abs(one.timestamp - time_s))
        draw_corner(picture, words_at(shown, recognition, time_s))
    if any(abs(hit.timestamp - time_s) <= _FLASH_S for hit in recognition.hits):
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (255, 60, 60), 4 * line_width(picture))
    return picture


def words_at(segment: SegmentRecord, recognition: Recognition, time_s: float) -> str:
    """What stands in the picture at a time within a segment: its action, and how many repetitions there were so far,
    as if all took as long, each counted at its middle."""
    said, done = segment.answer, 0
    if segment.repetitions:
        done = round(segment.repetitions * (time_s - segment.start_s) / (segment.end_s - segment.start_s))
    times = f"  x{done}" if done else ""
    name = class_name(recognition, said.action)
    return f"{name}{'' if said.action == NONE else f' {said.confidence:.2f}'}{times}"
