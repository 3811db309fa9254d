"""`posellm update`: what the sensors would start, here and now, with a bar and the time that is left."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from posellm_assets.commands.console import PlainConsole
from posellm_assets.commands.starting import find_home
from posellm_assets.commands.status import overview
from posellm_assets.definitions import build_defs
from posellm_assets.defs.catch_up import News, bring_up_to_date, home_instance
from posellm_assets.lake import Lake
from posellm_assets.reports.plain import visible
from posellm_assets.settings import Settings, load_settings


class Bar:
    """One bar for whatever is at work, and a line for what is done."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._task = progress.add_task("starting", total=None)
        self._doing = ""

    def move(self, description: str, done: int = 0, total: int | None = None, doing: str = "") -> None:
        """Show how much is done; the time that is left is reckoned anew where `doing` is another than before."""
        if doing != self._doing:
            self._progress.reset(self._task)
            self._doing = doing
        self._progress.update(self._task, description=visible(description), completed=done, total=total)

    def line(self, what: str, message: str, duration_s: float) -> None:
        """Say what is done, and how long it took."""
        self._progress.console.print(f"{what:<18} {message}", Text(f"{duration_s:.0f} s", "dim"))

    def say(self, news: News) -> None:
        """A job that ended becomes a line of its own; everything before moves the bar."""
        if news.seconds is not None:
            self.line(news.job, news.message, news.seconds)
        elif counted := re.match(r"(\w+) (\d+)/(\d+): (.*)", news.message):
            asset, done, total, key = counted.groups()
            self.move(f"{news.job}: {asset} {key}", int(done), int(total), doing=asset)
        else:
            self.move(f"{news.job}: {news.message}")


def update_lake(lake: Lake, console: Console) -> None:
    """Take in what is new and train where it is time to; then say what could not be used, and what was released.

    Raises FileNotFoundError where there is no lake, and what `bring_up_to_date_here` raises.
    """
    if not lake.raw.is_dir():
        raise FileNotFoundError(f"there is no {lake.raw}: `posellm add` makes it, or give --lake")
    bring_up_to_date_here(lake, load_settings(lake), console)
    found = overview(lake)
    ready, registered = (sum(row[column] for row in found["sports"]) for column in ("ready", "registered"))
    console.print(f"{ready} of {registered} videos are ready", highlight=False)
    for row in found["not_used"]:
        console.print(f"not used: {row['what']}: {row['why']}", soft_wrap=True, highlight=False)
    for kind, release in found["in_use"].items():
        if release:
            console.print(f"{kind} in use: {release['name']}", highlight=False)


def bring_up_to_date_here(
    lake: Lake, settings: Settings, console: Console, before: Callable[[Bar], None] = lambda _: None
) -> None:
    """`bring_up_to_date` in this process, with its progress on the console; `before` is carried out first.

    Raises ValueError where nobody says where Dagster keeps its records, and what `bring_up_to_date` raises.
    """
    log = find_home() / "update.log"
    with home_instance() as instance, _output_to(log, console) as quiet, _progress(quiet) as progress:
        bar = Bar(progress)
        before(bar)
        reason = bring_up_to_date(build_defs(), lake, settings, instance, bar.say)
    console.print(f"Nothing left to do: {reason}. What the programs printed is in {log}.", soft_wrap=True)


def _progress(console: Console) -> Progress:
    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=console, transient=True)


@contextmanager
def _output_to(log: Path, console: Console) -> Iterator[Console]:
    """Send what this process and its children print to `log`; yields a console on the terminal that they had.

    MediaPipe, Unsloth and Dagster write to the file descriptors, so nothing less keeps the progress readable.
    """
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("ab") as stream, os.fdopen(os.dup(1), "w") as terminal:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
        try:
            yield PlainConsole(file=terminal, width=console.width, force_terminal=console.is_terminal)
        finally:
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
