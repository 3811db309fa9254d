"""The commands about footage: take it in, take it out again, say something else about it."""

from pathlib import Path
from typing import Annotated

import typer

from posellm_assets.commands.console import LakeOption, console, print_error
from posellm_assets.lake import Lake

_NEXT = "next: `posellm update`, or nothing where `posellm ui` runs"


def add(
    paths: Annotated[list[Path], typer.Argument(help="Clips, or folders of clips: <sport>/[<label>/]<file>.")],
    sport: Annotated[
        str | None, typer.Option(help="What they show, for instance tennis; a folder is then [<label>/]<file>.")
    ] = None,
    lake: LakeOption = "data_lake",
    label: Annotated[str | None, typer.Option(help="What the clips show, for instance serve.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves; keeps a person on one side of the split.")] = None,
    label_from_folders: Annotated[
        bool, typer.Option("--label-from-folders", help="With --sport: folders are named after their clips' label.")
    ] = False,
) -> None:
    """Look at clips and copy them into the lake. Exit code 1 where one was not: it stops no other."""
    from posellm_assets.footage.adding import add as add_footage
    from posellm_assets.problems import sentence

    added, refused = 0, 0
    for file, found in add_footage(Lake(lake), paths, sport, label, participant, label_from_folders):
        if isinstance(found, Exception):
            refused += 1
            print_error(sentence(found))
        else:
            added += 1
            console.print(f"added {file} as {found}", soft_wrap=True)
    if not added and not refused:
        raise ValueError(f"no clips in {', '.join(map(str, paths))}")
    console.print(f"{added} added, {refused} not" if refused else f"{added} added", highlight=False)
    if added:
        console.print(_NEXT, highlight=False)
    if refused:
        raise typer.Exit(1)


def remove(
    clips: Annotated[list[str], typer.Argument(help="Keys of videos, or their files in the lake.")],
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the clip and all that was made of it, for an athlete who asks.")
    ] = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Take clips out of the lake: nothing is trained on them any more, and `posellm add` brings them back."""
    from posellm_assets.footage.removing import key_of_clip
    from posellm_assets.footage.removing import remove as put_aside

    here = Lake(lake)
    for key in [key_of_clip(here, clip, removed_too=purge) for clip in clips]:
        if not purge:
            places = ", ".join(map(str, put_aside(here, key))) or "nowhere: its file was gone already"
            console.print(f"removed {key}; its clip is {places}", soft_wrap=True)
            continue
        from posellm_assets.commands.removing import purge as delete

        seen = delete(here, key)
        console.print(f"deleted {key} and all that was made of it", soft_wrap=True)
        if seen:
            console.print(
                f"what models have learned stays: those of {', '.join(seen)} have seen it. Trainings that were not "
                "finished begin anew; a hub elsewhere, exports and Dagster's own log are left as they are.",
                soft_wrap=True,
            )


def move(
    clip: Annotated[str, typer.Argument(help="The key of a video, or its file in the lake.")],
    sport: Annotated[str | None, typer.Option(help="The sport that it shows.")] = None,
    label: Annotated[str | None, typer.Option(help="The folder of the sport, which names what it shows.")] = None,
    lake: LakeOption = "data_lake",
) -> None:
    """Move a clip to another sport, or to the folder of another label."""
    from posellm_assets.footage.removing import key_of_clip
    from posellm_assets.footage.removing import move as move_clip

    here = Lake(lake)
    console.print(f"{clip} is {move_clip(here, key_of_clip(here, clip), sport, label)} now; {_NEXT}", soft_wrap=True)


def relabel(
    clip: Annotated[str, typer.Argument(help="The key of a video, or its file in the lake.")],
    label: Annotated[str | None, typer.Option(help="What it shows.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves.")] = None,
    lake: LakeOption = "data_lake",
) -> None:
    """Say what a clip shows, or who moves, in its sidecar."""
    from posellm_assets.footage.labels import Labels
    from posellm_assets.footage.removing import key_of_clip
    from posellm_assets.footage.removing import relabel as write_labels

    if label is None and participant is None:
        raise ValueError("give --label or --participant")
    given = {"label": label, "participant": participant}
    labels = Labels.checked({name: text for name, text in given.items() if text is not None}, clip)
    here = Lake(lake)
    console.print(f"wrote {write_labels(here, key_of_clip(here, clip), labels)}; {_NEXT}", soft_wrap=True)


def update(lake: LakeOption = "data_lake") -> None:
    """Take in new clips and train on them where it is time to, here and now, as the sensors would."""
    from posellm_assets.commands.updating import update_lake

    update_lake(Lake(lake), console)


COMMANDS = (add, update, remove, move, relabel)
