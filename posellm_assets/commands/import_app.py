"""`posellm import`: what is no footage: motion capture, landmarks, coached sessions, pretrained bases, data sets."""

from pathlib import Path
from typing import Annotated

import typer

from posellm_assets.commands.console import LakeOption, console
from posellm_assets.lake import Lake

_SPORT = "Folder of the drop zone, for instance tennis; else the column sport of labels.csv beside the files."

app = typer.Typer(no_args_is_help=True, help="Bring in what is not footage.")


@app.command("motion")
def import_motion(
    paths: list[Path],
    sport: Annotated[str | None, typer.Option(help=_SPORT)] = None,
    lake: LakeOption = "data_lake",
    label: Annotated[str | None, typer.Option(help="What the motions show, for instance serve.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves; keeps a person on one side of the split.")] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, in, or metres for one unit of the file.")] = None,
    up: Annotated[str | None, typer.Option(help="The axis that points up: y, z or -y.")] = None,
    handedness: Annotated[str | None, typer.Option(help="Of the axes: right or left.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second, where the file does not say it.")] = None,
) -> None:
    """Bring in motion capture: BVH, .npy arrays, parquet, or folders of them, into the drop zone."""
    from posellm_assets.commands import importing
    from posellm_assets.motion.sources import declared

    said = declared(unit=unit, up=up, handedness=handedness, fps=fps, label=label, participant=participant)
    _print(*importing.import_motion(Lake(lake), paths, sport, said))


@app.command("poses")
def import_poses(
    paths: list[Path],
    sport: Annotated[str | None, typer.Option(help=_SPORT)] = None,
    lake: LakeOption = "data_lake",
    label: Annotated[str | None, typer.Option(help="What the clips show, for instance serve.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves; keeps a person on one side of the split.")] = None,
    channels: Annotated[
        str | None, typer.Option(help="What the last axis of arrays holds, such as x,y,z,visibility or world_x,...")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of arrays.")] = None,
    width: Annotated[int | None, typer.Option(help="Of the pictures in which arrays were found, in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="The same, down.")] = None,
    up: Annotated[
        str | None, typer.Option(help="The axis of world_x, ... that points up: -y (MediaPipe's) or y.")
    ] = None,
) -> None:
    """Bring in landmarks of MediaPipe Pose without their videos: poses of a lake, .npy arrays, or folders of them."""
    from posellm_assets.commands import importing
    from posellm_assets.poses.imports import declared

    named = [name.strip() for name in channels.split(",")] if channels else None
    about = {"channels": named, "fps": fps, "width": width, "height": height, "up": up}
    said = declared(label=label, participant=participant, **about)
    _print(*importing.import_poses(Lake(lake), paths, sport, said))


def _print(placed: list[tuple[Path, str]], unused: list[str]) -> None:
    for path, words in placed:
        console.print(f"added {path} ({words})", soft_wrap=True)
    if unused:
        console.print(f"labels.csv: not used are the columns {', '.join(unused)}", soft_wrap=True)


@app.command("feedback")
def import_feedback(
    folder: Annotated[Path, typer.Argument(help="A folder of QEVD, with its feedbacks_long_range.json and videos.")],
    sport: Annotated[str, typer.Option(help="Folder of the drop zone.")] = "fitness",
    lake: LakeOption = "data_lake",
) -> None:
    """Bring in videos of a coach's sessions with what is said in them, and when, into the drop zone."""
    from posellm_assets.coaching.streaming.qevd import import_qevd

    for path, messages in import_qevd(Lake(lake), folder, sport):
        console.print(f"added {path} ({messages} messages)", soft_wrap=True)


@app.command("base")
def import_base(
    file: Annotated[Path, typer.Argument(help="A GGUF file of a language model.")],
    out: Annotated[Path, typer.Option(help="The new folder, for language.model.base.")],
) -> None:
    """Make a pretrained model in a GGUF file into a folder that can be trained on."""
    from posellm_assets.language.formats.gguf import convert_gguf

    convert_gguf(file, out)
    console.print(f"{out}: name it in posellm.yaml, language: {{model: {{base: {out.absolute()}}}}}", soft_wrap=True)


@app.command("dataset")
def import_dataset(
    dataset: Annotated[
        Path, typer.Argument(help="Motion-LLM JSON (text_query, motion_tokens, participant_id), or a folder of splits.")
    ],
    codes: Annotated[
        int, typer.Option(min=1, help="Codes of the tokenizer that made them, of all layers and body parts together.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for examples, jobs and models.")],
    layers: Annotated[
        int,
        typer.Option(min=1, help="Codes that one step of a motion is written as: residual layers times body parts."),
    ] = 1,
    lake: LakeOption = "data_lake",
) -> None:
    """Make a motion-LLM dataset ready to train on."""
    from posellm_assets.commands.importing import import_examples
    from posellm_assets.settings import load_settings

    counts, jobs = import_examples(dataset, codes, layers, out, load_settings(Lake(lake)))
    console.print(f"{out}: {', '.join(f'{split} {count}' for split, count in counts.items())} motions; train with")
    for job in jobs:
        console.print(f"python -m posellm_assets.language.train {job}", soft_wrap=True)
