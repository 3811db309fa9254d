"""`posellm lake`: whether the files of a lake are what they were when they were made."""

from typing import Annotated

import typer

from posellm_assets.commands.console import JsonOption, LakeOption, console, print_json, print_table
from posellm_assets.lake import Lake

app = typer.Typer(no_args_is_help=True, help="The files of a lake: check them, repair what can be made again.")


@app.callback()
def lake_commands() -> None:
    """The files of a lake."""


@app.command()
def check(
    lake: LakeOption = "data_lake",
    repair: Annotated[
        bool, typer.Option("--repair", help="Bring back what can be: damaged files go to damaged/.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read every file and say which are damaged or missing, and how each comes back."""
    from posellm_assets.lake_check.fault import REPAIR
    from posellm_assets.lake_check.faults import faults, unrecorded
    from posellm_assets.lake_check.repair import repair as repaired_of

    here = Lake(lake)
    if not here.root.is_dir():
        raise FileNotFoundError(f"there is no lake in {here.root}: set POSELLM_LAKE or give --lake")
    found = list(faults(here))
    repaired = set(repaired_of(here, found)) if repair else set()
    left = [fault for fault in found if fault.path not in repaired]
    if as_json:
        print_json([{**fault.model_dump(mode="json"), "repaired": fault.path in repaired} for fault in found])
        raise typer.Exit(1 if left else 0)
    rows = [[fault.path.relative_to(here.root), fault.what, fault.remedy] for fault in left]
    print_table("damaged or missing", ["file", "what", "what to do"], rows)
    after = [(fault.path, fault.remedy.removeprefix(REPAIR)) for fault in found if fault.path in repaired]
    rows = [[path.relative_to(here.root), rest.lstrip(",; ")] for path, rest in after]
    print_table("repaired; what was damaged lies in damaged/", ["file", "and now"], rows)
    if not found:
        console.print("every file is what it was when it was made", highlight=False)
    if count := len(unrecorded(here)):
        console.print(f"{count} files have no checksum, and were only read; {REPAIR} gives them one", highlight=False)
    raise typer.Exit(1 if left else 0)
