"""`posellm evaluate`: what was trained, measured."""

from typing import Annotated

import typer

from posellm_assets.commands.console import JsonOption, LakeOption, console, print_json, print_table
from posellm_assets.lake import Lake

app = typer.Typer(no_args_is_help=True, help="Measure what was trained.")


@app.command("actions")
def evaluate_actions(
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
) -> None:
    """Measure the recogniser in use, each member and the ensemble, and write the report."""
    from posellm_assets.commands.recognise import evaluate_recogniser
    from posellm_assets.settings import load_settings

    if split not in ("test", "val", "train"):
        raise ValueError(f"--split is test, val or train, not {split}")
    here = Lake(lake)
    metrics, page = evaluate_recogniser(here, load_settings(here), split)  # type: ignore[arg-type]
    if as_json:
        print_json(metrics)
        return
    rows = [
        [
            name,
            *(
                f"{one[key]['value']:.3f}" if key in one else ""
                for key in ("accuracy", "macro_f1", "calibration_error")
            ),
        ]
        for name, one in metrics["members"].items()
    ]
    rows += [[name, f"{figure['value']:.3f}", "", ""] for name, figure in metrics["baselines"].items()]
    print_table(f"{metrics['clips']} clips, {split}", ["", "accuracy", "macro F1", "calibration error"], rows)
    for name, why in metrics["absent"].items():
        console.print(f"{name} was not asked: {why}", soft_wrap=True)
    console.print(f"report: {page}", soft_wrap=True)
