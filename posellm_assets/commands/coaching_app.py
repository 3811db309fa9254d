"""`posellm coaching`: what athletes could do better."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posellm_assets.commands.console import (
    JsonOption,
    LakeOption,
    console,
    print_error,
    print_json,
    print_table,
    print_warning,
)
from posellm_assets.lake import Lake

if TYPE_CHECKING:
    from posellm_assets.coaching.labels.schema import CoachingLabel

app = typer.Typer(no_args_is_help=True, help="Coaching: labels that were held against the measured pose.")


@app.callback()
def coaching() -> None:
    """Coaching."""


@app.command("example")
def render_example(
    out: Annotated[Path, typer.Option(help="The folder for the clip.")],
) -> None:
    """Render a clip of squats, two of them shallow, to try `posellm coach` on."""
    from posellm_assets.demo.example import EXERCISE, SHALLOW_SQUATS, render_example

    clip = render_example(out)
    shallow = " and ".join(map(str, SHALLOW_SQUATS))
    console.print(f"wrote {clip}: six squats, of which numbers {shallow} are shallow. See what the coach says with")
    console.print(f"posellm coach {clip} --exercise {EXERCISE} --out {out / 'coached.mp4'}", soft_wrap=True)


@app.command("label")
def label_videos(
    keys: Annotated[list[str], typer.Argument(help="Videos that have poses and motion, by key.")],
    reference: Annotated[
        str | None,
        typer.Option(help="A video file or key of how it is right; else the lake's clips whose form is correct."),
    ] = None,
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
) -> None:
    """Say what the athletes of videos could do better, and keep it. Exit code 1 where one got no label."""
    from posellm_assets.coaching.labels.lake_labels import Labeller
    from posellm_assets.commands.compare import drawn_beside, measured
    from posellm_assets.endpoint import EndpointError
    from posellm_assets.problems import attempted, sentence
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    settings = load_settings(here)
    right = measured(here, settings, reference) if reference else None
    labeller, labels = Labeller(here, settings.coaching.teachers, right), []
    for key in keys:
        try:
            labels.append(labeller.label(key))
        except (ValueError, OSError, EndpointError) as error:
            print_error(error)
    if as_json:
        print_json([label.model_dump(mode="json") for label in labels])
    else:
        for label in labels:
            _print(label)
            picture = attempted(partial(drawn_beside, here), label)
            if isinstance(picture, Exception):
                print_warning(f"{label.key}: what differs is not drawn: {sentence(picture)}")
            elif picture:
                console.print(f"drawn: {picture}", soft_wrap=True)
        for endpoint in labeller.endpoints:
            console.print(str(endpoint), soft_wrap=True)
    if len(labels) < len(keys) or any(label.status not in ("success", "compared") for label in labels):
        raise typer.Exit(1)


def _print(label: "CoachingLabel") -> None:
    score = "" if label.progress_score is None else f", score {label.progress_score}"
    rows = [
        [f"{point.mistake_timestamp_ms / 1000:.1f}", point.severity, point.coaching_script]
        for point in label.feedback_points
    ]
    title = f"{label.key}: {label.exercise or 'no exercise'}, repetitions: {len(label.repetitions)}{score}"
    print_table(title, ["s", "how grave", "what"], rows)
    if not rows:
        said = label.error_message or label.positive_note
        console.print(f"{label.key}{score}: {said}", soft_wrap=True)
    if label.reference:
        what = [[f"{one.time_s:.1f}", one.script] for one in label.differences]
        print_table(f"against {label.reference}", ["s", "what differs"], what or [["", "nothing that can be measured"]])
    for fault in label.not_judged:
        console.print(f"{fault} is not judged: it cannot be seen here")
    for check, count in sorted(label.rejections.items()):
        console.print(f"rejected by {check}: {count}")
