"""`posellm export`: motion, models and datasets, for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from posellm_assets.commands.console import LakeOption, OverwriteOption, console, refuse_existing
from posellm_assets.lake import Lake

app = typer.Typer(no_args_is_help=True, help="Take out what was made.")


@app.command("motion")
def export_motion(
    key: str,
    to: Annotated[
        str | None, typer.Option(help="bvh, npy, mp4 or gif; bvh if neither this nor a file is given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; KEY.<format> here if not given.")] = None,
    origin: Annotated[str, typer.Option("--from", help="motion, or tokens: what the codes say of it.")] = "motion",
    rest_pose: Annotated[
        Literal["t-pose", "first-frame"], typer.Option(help="Of a bvh: what the joints' offsets show.")
    ] = "t-pose",
    overwrite: OverwriteOption = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Write the motion of a clip for another program."""
    from posellm_assets.commands import exporting

    if origin not in ("motion", "tokens"):
        raise ValueError(f"--from is motion or tokens, not {origin}")
    path = out or Path(f"{key}.{to or 'bvh'}")
    if to and path.suffix != f".{to}":
        raise ValueError(f"--to {to} and --out {path} disagree: give one of them, or a file that ends in .{to}")
    refuse_existing([path], overwrite)
    said = exporting.export_motion(Lake(lake), key, path, origin, rest_pose)  # type: ignore[arg-type]
    console.print(said, soft_wrap=True)


@app.command("model")
def export_model(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    snapshot: Annotated[str | None, typer.Argument(help="Whose model; the released one if not given.")] = None,
    adapter: Annotated[bool, typer.Option("--adapter/--merge", help="The LoRA adapter alone, or all weights.")] = False,
    push: Annotated[str | None, typer.Option(help="Also push it to this repository, with HF_TOKEN.")] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let the repository be public; a new one is made so.")
    ] = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Write a trained model as a Hugging Face folder, and push it to the Hub if asked."""
    from posellm_assets.commands import exporting

    if push:
        exporting.check_push(push, public)
    exporting.export_model(Lake(lake), snapshot, out, adapter)
    console.print(f"wrote {out}", soft_wrap=True)
    if push:
        console.print(f"pushed to {exporting.push(out, push, public)}", soft_wrap=True)


@app.command("dataset")
def export_dataset(
    source: Annotated[
        str | None, typer.Argument(help="A snapshot or a folder of examples; the newest snapshot where none is named.")
    ] = None,
    *,
    to: Annotated[str, typer.Option(help="alpaca, chat, parquet or motion-llm.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    lake: LakeOption = "data_lake",
) -> None:
    """Write the examples of a snapshot as a dataset with its card."""
    from posellm_assets.commands.exporting import export_examples

    counts = export_examples(Lake(lake), source, to, out)
    written = ", ".join(f"{split} {count}" for split, count in counts.items())
    console.print(f"{out}: {written} records", soft_wrap=True)
