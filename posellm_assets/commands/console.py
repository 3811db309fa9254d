"""What all commands share: options, the console, and tables."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

console = Console()

LakeOption = Annotated[str, typer.Option("--lake", envvar="POSELLM_LAKE", help="Folder or URL of the data lake.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print rows as a table; nothing where there are none."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)
