"""What all commands share: options, the consoles, tables and JSON."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from posellm_assets.reports.plain import visible

# A JSON encoder leaves these as they are, and a terminal may take them for commands.
_LATER_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class PlainConsole(Console):
    """Shows strings as they stand: file names, labels and captions hold neither markup nor control sequences here.

    What is to have a style is a `rich.text.Text`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text without markup, for `print` and for the cells and titles of tables."""
        style, justify, overflow = (options.get(name) for name in ("style", "justify", "overflow"))
        return Text(visible(text), style=style or "", justify=justify, overflow=overflow)


console = PlainConsole()
errors = PlainConsole(stderr=True)

LakeOption = Annotated[str, typer.Option("--lake", envvar="POSELLM_LAKE", help="Folder of the data lake.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Write over files that are there already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise FileExistsError where one of `paths` is there and was not to be written over."""
    for path in paths:
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} is there already; name another file, or give --overwrite")


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print rows as a table; nothing where there are none. A cell is a string as it stands, or a styled Text."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
    console.print(table)


def print_error(error: object) -> None:
    """Print what went wrong to standard error."""
    errors.print(Text("error:", "red"), str(error), soft_wrap=True)


def print_warning(warning: str) -> None:
    """Print what somebody should know about a result that they got, to standard error."""
    errors.print(Text("warning:", "yellow"), warning, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON for scripts."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    print(_LATER_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
