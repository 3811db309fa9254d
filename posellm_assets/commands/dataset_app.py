"""`posellm dataset`: data sets that recognisers are trained on."""

from pathlib import Path
from typing import Annotated

import typer

from posellm_assets.commands.console import LakeOption, console, print_table
from posellm_assets.footage.splits import SPLITS
from posellm_assets.lake import Lake

app = typer.Typer(no_args_is_help=True, help="Make data sets that recognisers are trained on.")


@app.command("actions")
def dataset_of_actions(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with a folder for each class, a CSV file of segments or a JSON file of Qwen-VL's "
            "conversations; else the lake's footage."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="A new folder.")],
    sport: Annotated[str | None, typer.Option(help="Whose label set names the classes.")] = None,
    match: Annotated[
        str | None, typer.Option(help="Regular expression whose first group finds the match in a file's name.")
    ] = None,
    lake: LakeOption = "data_lake",
) -> None:
    """Write clips with the actions that they show for vision-language models; exit code 1 where some were refused."""
    from posellm_assets.actions.dataset.sources import found_in
    from posellm_assets.actions.dataset.writing import write_dataset
    from posellm_assets.pool import LocalPool
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    settings, found = load_settings(here), found_in(here, source, sport, match)
    dataset, refused = write_dataset(
        out, found.examples, found.refused, found.label_set, settings.actions.dataset, LocalPool(), settings.seed
    )
    counts = ", ".join(f"{split} {len(dataset.of(split))}" for split in SPLITS)
    classes = len({example.class_id for example in dataset.examples})
    console.print(f"{out}: {counts} clips of {classes} classes", soft_wrap=True)
    if found.without_pictures:
        left_out = ", ".join(found.without_pictures)
        console.print(f"left out, motion capture or landmarks without pictures: {left_out}")
    print_table("refused", ["what", "why"], [[one.what, one.reason] for one in refused])
    if refused:
        raise typer.Exit(1)


@app.command("coaching")
def dataset_of_coaching(
    pictures: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of folders of pictures with an activities.yaml; else the lake's labelled videos."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="A new folder.")],
    lake: LakeOption = "data_lake",
) -> None:
    """Write what athletes could do better as chat messages, in words and with pictures."""
    from posellm_assets.coaching.labels.lake_labels import teacher_of
    from posellm_assets.coaching.model.dataset import write_dataset
    from posellm_assets.coaching.model.dataset_sources import from_images, from_lake
    from posellm_assets.pool import LocalPool
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    settings = load_settings(here)
    config = settings.coaching
    if pictures:
        found = from_images(pictures, config.images, settings.poses, teacher_of(here, config.teachers), LocalPool())
    else:
        found = from_lake(here, here.registered_videos())
    stats = write_dataset(out, *found, config.dataset)
    counts = ", ".join(f"{split} {of_split['examples']}" for split, of_split in stats["splits"].items())
    console.print(f"{out}: {counts} examples, {stats['train_rows']} training rows", soft_wrap=True)
    print_table("left out", ["what", "why"], [[one["what"], one["reason"]] for one in stats["left_out"]])


@app.command("kaggle")
def from_kaggle(
    handle: Annotated[str, typer.Argument(help="owner/name, as in the address of the data set.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder.")],
) -> None:
    """Download a data set of Kaggle; needs KAGGLE_USERNAME and KAGGLE_KEY in the environment."""
    from posellm_assets.commands.kaggle import download

    download(handle, out)
    console.print(f"{out}: write an activities.yaml that says what its folders show", soft_wrap=True)
