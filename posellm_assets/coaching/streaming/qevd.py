"""Sessions of QEVD as clips with timed feedback.

QEVD (Panchal et al., "What to Say and When to Say it", NeurIPS 2024) lists its long sessions in one JSON file. Of each
entry this reads `long_range_video_file`, `video_timestamps` (seconds on any clock, one for each frame), `feedbacks`
(what is being said in each frame, empty in silence) and `is_transition` (for each frame, or for each message). A
message is a run of frames with the same words and begins with the first; one that runs to the last frame counts too.
`feedback_timestamps` are on another clock and say nothing that the frames do not, so they are not read: times here are
seconds since the first frame, in no time zone.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posellm_assets.files import read_json, write_json
from posellm_assets.footage.adding import add_files
from posellm_assets.footage.labels import Feedback, LabelError, Labels, sidecar_of
from posellm_assets.lake import Lake

FILE = "feedbacks_long_range.json"


class UnusableSession(ValueError):
    """An entry that cannot be used; the message names the file, the entry and the key, and what is wrong."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    long_range_video_file: str = Field(min_length=1)
    video_timestamps: list[float] = Field(min_length=1)
    feedbacks: list[str]
    is_transition: list[bool]


def read_qevd(folder: Path) -> list[tuple[Path, Labels]]:
    """The video of each session below `folder`, and what was said in it.

    Raises FileNotFoundError where the list or a video is missing, UnusableSession for an entry that cannot be used.
    """
    path = folder / FILE
    content = read_json(path)
    if not isinstance(content, list):
        raise UnusableSession(f"{path}: expected a list of sessions, found {type(content).__name__}")
    return [_session(folder, f"{path}: entry {number}", entry) for number, entry in enumerate(content)]


def import_qevd(lake: Lake, folder: Path, sport: str) -> list[tuple[Path, int]]:
    """Copy the sessions of `folder` into the drop zone with their feedback; returns each path and how often it speaks.

    Everything is read and checked before the first file is copied. Raises what `read_qevd` and `add_files` raise.
    """
    sessions = read_qevd(folder)
    names = [video.name for video, _ in sessions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnusableSession(f"{folder / FILE} lists two videos called {twice[0]}; rename one of them")
    with TemporaryDirectory() as temporary:
        links = []
        for video, labels in sessions:
            link = Path(temporary) / video.name
            link.symlink_to(video.resolve())
            write_json(sidecar_of(link), labels.model_dump(exclude_defaults=True))
            links.append(link)
        placed = add_files(lake, links, sport)
    return [(path, len(labels.feedback)) for path, (_, labels) in zip(placed, sessions, strict=True)]


def _session(folder: Path, where: str, content: object) -> tuple[Path, Labels]:
    try:
        entry = _Entry.model_validate(content)
        video = (folder / entry.long_range_video_file).resolve()
        if not video.is_relative_to(folder.resolve()):
            raise UnusableSession(f"{where}: {entry.long_range_video_file!r} lies outside {folder}")
        if not video.is_file():
            raise FileNotFoundError(f"{where}: there is no video {video}")
        return video, Labels(feedback=_messages(entry, where))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UnusableSession(f"{where}: {key + ': ' if key else ''}{first['msg']}") from error
    except LabelError as error:
        raise UnusableSession(f"{where}: {error}") from error


def _messages(entry: _Entry, where: str) -> list[Feedback]:
    times, words = entry.video_timestamps, entry.feedbacks
    if len(times) != len(words):
        raise UnusableSession(f"{where}: {len(words)} feedbacks for {len(times)} video_timestamps, one of each a frame")
    if number := next((number for number, (one, after) in enumerate(pairwise(times), 1) if not one < after), None):
        raise UnusableSession(f"{where}: video_timestamps.{number} is not later than the one before")
    starts = [frame for frame, text in enumerate(words) if text.strip() and (frame == 0 or words[frame - 1] != text)]
    transitions = _transitions(entry.is_transition, starts, len(words), where)
    return [
        Feedback(t=round(times[frame] - times[0], 3), text=words[frame], transition=transition)
        for frame, transition in zip(starts, transitions, strict=True)
    ]


def _transitions(flags: Sequence[bool], starts: Sequence[int], frames: int, where: str) -> list[bool]:
    if len(flags) == frames:
        return [flags[frame] for frame in starts]
    if len(flags) == len(starts):
        return list(flags)
    raise UnusableSession(f"{where}: {len(flags)} is_transition for {frames} frames with {len(starts)} messages")
