"""What the tabs share: the lake, warm processes, uploads that are looked at first, and errors in words."""

import functools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.utils import get_upload_folder
from markupsafe import Markup, escape

from posellm_assets.footage.capture import UnreadableCapture
from posellm_assets.footage.register import probe_footage
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.notebook import OpenLake
from posellm_assets.pool import ITEMS_PER_WORKER, WorkerDied
from posellm_assets.problems import sentence
from posellm_assets.reports.plain import visible

Item = TypeVar("Item")
Result = TypeVar("Result")

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
EVENT: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "work", "concurrency_limit": 1}
"""How every button asks: not for programs, and one request at a time has the machine."""


class WarmPool:
    """A `Pool` whose processes stay, with what they have loaded."""

    def __init__(self) -> None:
        self.workers = max(1, len(os.sched_getaffinity(0)))
        self._processes = self._started()

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Pool.map`."""
        try:
            asked = {self._processes.submit(fn, item): item for item in items}
            for one in as_completed(asked):
                yield asked[one], one.exception() or one.result()  # type: ignore[misc]
        except BrokenProcessPool as error:
            self._processes = self._started()
            raise WorkerDied(f"a process that looked at the video died: {error}; try again") from error

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, get_context("spawn"), max_tasks_per_child=ITEMS_PER_WORKER)


@dataclass(frozen=True)
class Shared:
    """The lake that is served, and the processes that find people. `changing`: visitors may change the lake."""

    lake: OpenLake
    changing: bool = True
    pool: WarmPool = field(default_factory=WarmPool)

    def clips(self) -> list[str]:
        """The keys of the clips of the lake whose athlete was found."""
        lake = self.lake.lake
        return [key for key in lake.registered_videos() if lake.poses(key).is_file() and lake.motion(key).is_file()]

    def looked_at(self, upload: str | None) -> Path:
        """An upload, looked at as `posellm add` does; raises gr.Error where it is no footage, or too long."""
        if not upload:
            raise gr.Error("Choose a video first.", print_exception=False)
        path, most_s = Path(upload), self.lake.settings.app.max_clip_s
        try:
            found = probe_footage(path)
        except (UnreadableVideo, UnreadableCapture) as error:
            raise told(error, path) from error
        if found.duration_s > most_s:
            raise told(f"it is {found.duration_s:.0f} s long; here {most_s:.0f} s is the most", path)
        return path


def told(error: object, upload: Path | None = None) -> gr.Error:
    """What went wrong, for the page: in a sentence, without markup and without where an upload lies."""
    said = sentence(error) if isinstance(error, Exception) else str(error)
    if upload is not None:
        said = said.replace(str(upload), upload.name)
        said = said if upload.name in said else f"{upload.name}: {said}"
    return gr.Error(str(escape(visible(said))), duration=None, print_exception=False)


def in_words(fn: Callable[..., Result]) -> Callable[..., Result]:
    """`fn`, but what a user did wrong is a sentence on the page."""

    @functools.wraps(fn)
    def wrapped(*given: Any) -> Result:
        try:
            return fn(*given)
        except (ValueError, OSError, RuntimeError) as error:
            upload = next((Path(one) for one in given if isinstance(one, str) and os.path.isabs(one)), None)
            raise told(error, upload) from error

    return wrapped


def new_folder() -> Path:
    """A folder for the results of one request, whose name nobody can guess."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder


def listed(sentences: Sequence[str], kind: str = "said") -> str:
    """Sentences as HTML, whatever they hold; nothing where there are none."""
    if not sentences:
        return ""
    lines = Markup("").join(Markup("<li>{}</li>").format(visible(one)) for one in sentences)
    return str(Markup('<ul class="{}">{}</ul>').format(kind, lines))


def framed(page: Path) -> str:
    """A page of ours in a frame, which plays what lies beside it."""
    base = Markup('<head><base href="/gradio_api/file={}/">').format(page.parent)
    content = page.read_text(encoding="utf-8").replace("<head>", str(base), 1)
    return str(Markup('<iframe class="framed" title="{}" srcdoc="{}"></iframe>').format(page.stem, content))
