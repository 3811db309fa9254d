"""`posellm`: thin commands over the rooms. Exit code 0 means done, 1 that something was refused or failed, 2 misuse."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from posellm_assets.commands import champion
from posellm_assets.commands.console import JsonOption, LakeOption, console, print_table
from posellm_assets.lake import Lake
from posellm_assets.texts.config import Language

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Raw sports footage in, a motion language model out.",
    pretty_exceptions_enable=False,
)
import_app = typer.Typer(no_args_is_help=True, help="Bring in what is not footage.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Measure what was trained.")
export_app = typer.Typer(no_args_is_help=True, help="Take out what was made.")
dataset_app = typer.Typer(no_args_is_help=True, help="Make data sets that recognisers are trained on.")
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(champion.app, name="champion")
app.add_typer(dataset_app, name="dataset")
errors = Console(stderr=True)


def main() -> None:
    """Run the command line; what a user did wrong is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        errors.print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def add(
    files: list[Path],
    sport: Annotated[str, typer.Option(help="Folder of the drop zone, for instance tennis.")],
    lake: LakeOption = "data_lake",
    label: Annotated[str | None, typer.Option(help="What the clips show, for instance serve.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves; keeps a person on one side of the split.")] = None,
) -> None:
    """Copy clips into the drop zone, where the sensor finds them."""
    from posellm_assets.footage.register import add_files

    for path in add_files(Lake(lake), files, sport, label, participant):
        console.print(f"added {path}", highlight=False, soft_wrap=True)


@app.command()
def status(lake: LakeOption = "data_lake", as_json: JsonOption = False) -> None:
    """What is in the lake, what could not be used and why, and which model is released."""
    from posellm_assets.commands.status import overview
    from posellm_assets.motion.drift import Drift

    found = overview(Lake(lake))
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    print_table("videos by sport", ["sport", "registered", "ready"], [list(row.values()) for row in found["sports"]])
    print_table("not used", ["what", "why"], [[row["what"], row["why"]] for row in found["not_used"]])
    console.print(f"waiting to be registered: {len(found['waiting'])}")
    for drift in found["drift"]:
        console.print(
            f"drift: {Drift(**drift)}; train another with `motion_tokenizer`", highlight=False, soft_wrap=True
        )
    console.print(f"snapshots: {', '.join(found['snapshots']) or 'none'}")
    for snapshot, reason in found["left"].items():
        console.print(f"generation {snapshot} {reason}", highlight=False, soft_wrap=True)
    released = found["champion"]
    console.print(f"released: {released['snapshot']} ({released['lineage']})" if released else "released: nothing yet")


@app.command()
def describe(
    video: Path,
    language: Annotated[Language, typer.Option(help="Language of the sentences.")] = "en",
    as_json: JsonOption = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Say what moves in a video: which joints, how far, how often. Nothing is stored."""
    from posellm_assets.commands.describe import describe_video
    from posellm_assets.settings import load_settings

    result = describe_video(video, load_settings(Lake(lake)), language)
    if as_json:
        print(json.dumps(result, ensure_ascii=False, indent=2))
        return
    for sentence in result["sentences"]:
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)


@import_app.command("motion")
def import_motion(
    paths: list[Path],
    sport: Annotated[str, typer.Option(help="Folder of the drop zone, for instance tennis.")],
    lake: LakeOption = "data_lake",
    label: Annotated[str | None, typer.Option(help="What the motions show, for instance serve.")] = None,
    participant: Annotated[str | None, typer.Option(help="Who moves; keeps a person on one side of the split.")] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, in, or metres for one unit of the file.")] = None,
    up: Annotated[str | None, typer.Option(help="The axis that points up: y, z or -y.")] = None,
    handedness: Annotated[str | None, typer.Option(help="Of the axes: right or left.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second, where the file does not say it.")] = None,
) -> None:
    """Bring in motion capture: BVH, .npy arrays, parquet, or folders of them, into the drop zone."""
    from posellm_assets.commands import motion_files
    from posellm_assets.motion.sources import declared

    said = declared(unit=unit, up=up, handedness=handedness, fps=fps, label=label, participant=participant)
    for path, about in motion_files.import_motion(Lake(lake), paths, sport, said):
        console.print(f"added {path} ({about})", highlight=False, soft_wrap=True)


@export_app.command("motion")
def export_motion(
    key: str,
    to: Annotated[
        str | None, typer.Option(help="bvh, npy, mp4 or gif; bvh if neither this nor a file is given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; KEY.<format> here if not given.")] = None,
    origin: Annotated[str, typer.Option("--from", help="motion, or tokens: what the codes say of it.")] = "motion",
    lake: LakeOption = "data_lake",
) -> None:
    """Write the motion of a clip for another program."""
    from posellm_assets.commands import motion_files

    if origin not in ("motion", "tokens"):
        raise ValueError(f"--from is motion or tokens, not {origin}")
    path = out or Path(f"{key}.{to or 'bvh'}")
    if to and path.suffix != f".{to}":
        raise ValueError(f"--to {to} and --out {path} disagree: give one of them, or a file that ends in .{to}")
    console.print(motion_files.export_motion(Lake(lake), key, path, origin), highlight=False, soft_wrap=True)  # type: ignore[arg-type]


@export_app.command("model")
def export_model(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    snapshot: Annotated[str | None, typer.Argument(help="Whose model; the released one if not given.")] = None,
    adapter: Annotated[bool, typer.Option("--adapter/--merge", help="The LoRA adapter alone, or all weights.")] = False,
    push: Annotated[str | None, typer.Option(help="Also push it to this repository, with HF_TOKEN.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Write a trained model as a Hugging Face folder, and push it to the Hub if asked."""
    from posellm_assets.commands import export_model as room

    if push:
        room.check_token()
    room.export_model(Lake(lake), snapshot, out, adapter)
    console.print(f"wrote {out}", highlight=False, soft_wrap=True)
    if push:
        console.print(f"pushed to {room.push(out, push, private=not public)}", highlight=False, soft_wrap=True)


@app.command()
def generate(
    text: Annotated[str | None, typer.Argument(help="What the motion shows.")] = None,
    *,
    out: Annotated[Path, typer.Option(help="x.mp4, x.gif, x.bvh, x.npy, or x.json for joints and codes.")],
    continued: Annotated[
        str | None, typer.Option("--continue", help="Instead of a text: a clip of the lake that is gone on from.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None, typer.Option(help="Instead of a text: two clips between which is filled in.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same motion.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="How many, side by side or in numbered files.")] = 1,
    length: Annotated[float | None, typer.Option(min=0.1, help="Seconds; as in training by default.")] = None,
    participant: Annotated[str | None, typer.Option(help="In the manner of a participant of the training.")] = None,
    lake: LakeOption = "data_lake",
) -> None:
    """Generate a motion with the released model, from a text or from clips."""
    from posellm_assets.commands.generate import generate_motions
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    ends = [*([continued] if continued else []), *(between or [])]
    motions = generate_motions(here, load_settings(here), text, out, seed, samples, length, participant, ends)
    seconds = ", ".join(f"{motion.duration_s:.1f}" for motion in motions)
    asked = " ... ".join(ends) if text is None else repr(text)
    console.print(f"{out}: {seconds} s of motion for {asked}", highlight=False, soft_wrap=True)


@app.command()
def models(
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the default pose model where it is missing.")] = False,
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
) -> None:
    """The models on this machine: pose networks and what has been trained in this lake."""
    from posellm_assets.poses.config import PoseConfig
    from posellm_assets.poses.models import available_models, ensure_model

    if fetch:
        ensure_model(PoseConfig().network)
    poses = [
        {"name": model.name, "present": model.present, "path": str(model.path), "sha256": model.sha256}
        for model in available_models()
    ]
    trained = sorted(str(path.parent) for path in Lake(lake).root.glob("models/*/*/final/config.json"))
    if as_json:
        print(json.dumps({"poses": poses, "trained": trained}, indent=2))
        return
    print_table("pose models", ["name", "present", "path"], [[m["name"], _yes(m["present"]), m["path"]] for m in poses])
    print_table("trained models", ["folder"], [[path] for path in trained])


@app.command()
def doctor(lake: LakeOption = "data_lake", as_json: JsonOption = False) -> None:
    """Say in plain words what is missing on this machine and what to do. Exit code 1 where something needed is."""
    from posellm_assets.commands.doctor import examine

    findings = list(examine(Lake(lake)))
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        rows = [
            [
                finding.name,
                "[green]ok[/]" if finding.ok else "[red]missing[/]" if finding.needed else "[yellow]optional[/]",
                finding.found,
                "" if finding.ok else finding.remedy,
            ]
            for finding in findings
        ]
        print_table("this machine", ["what", "", "found", "what to do"], rows)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(lake: LakeOption = "data_lake") -> None:
    """Render footage, take it in, train a generation on it, and show what it can do."""
    from posellm_assets.commands.demo import run_demo

    run_demo(Lake(lake), console)


@export_app.command("dataset")
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
    from posellm_assets.commands.dataset import export_examples

    counts = export_examples(Lake(lake), source, to, out)
    written = ", ".join(f"{split} {count}" for split, count in counts.items())
    console.print(f"{out}: {written} records", highlight=False, soft_wrap=True)


@import_app.command("dataset")
def import_dataset(
    dataset: Annotated[
        Path, typer.Argument(help="Motion-LLM JSON (text_query, motion_tokens, participant_id), or a folder of splits.")
    ],
    codes: Annotated[int, typer.Option(min=1, help="Codes of the tokenizer that made them, of all layers together.")],
    out: Annotated[Path, typer.Option(help="Folder for examples, jobs and models.")],
    layers: Annotated[int, typer.Option(min=1, help="Quantiser layers of that tokenizer.")] = 1,
    lake: LakeOption = "data_lake",
) -> None:
    """Make a motion-LLM dataset ready to train on."""
    from posellm_assets.commands.dataset import import_examples
    from posellm_assets.settings import load_settings

    counts, jobs = import_examples(dataset, codes, layers, out, load_settings(Lake(lake)))
    console.print(f"{out}: {', '.join(f'{split} {count}' for split, count in counts.items())} motions; train with")
    for job in jobs:
        console.print(f"python -m posellm_assets.language.train {job}", highlight=False, soft_wrap=True)


@dataset_app.command("actions")
def dataset_of_actions(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with a folder for each class, or a CSV file of segments; else the lake's footage."
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
    from posellm_assets.commands.action_dataset import make_action_dataset
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    dataset, refused = make_action_dataset(here, load_settings(here), source, sport, match, out)
    counts = ", ".join(f"{split} {len(dataset.of(split))}" for split in ("train", "val", "test"))
    classes = len({example.class_id for example in dataset.examples})
    console.print(f"{out}: {counts} clips of {classes} classes", highlight=False, soft_wrap=True)
    print_table("refused", ["what", "why"], [[one.what, one.reason] for one in refused])
    if refused:
        raise typer.Exit(1)


@app.command()
def recognise(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of videos.")],
    sport: Annotated[str | None, typer.Option(help="How to look: hits in tennis, stretches in a gym.")] = None,
    method: Annotated[str | None, typer.Option(help="clip, hits or windows, whatever the sport.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for JSON, time line and annotated video of each.")] = None,
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
) -> None:
    """Say which actions videos show, and when. Exit code 1 where one could not be looked at."""
    from posellm_assets.commands.recognise import METHODS, recognise_videos
    from posellm_assets.settings import load_settings

    if method and method not in METHODS:
        raise ValueError(f"--method is one of {', '.join(METHODS)}, not {method}")
    here, told, failed = Lake(lake), [], False
    for video, found in recognise_videos(here, load_settings(here), path, sport, method, out):  # type: ignore[arg-type]
        if isinstance(found, Exception):
            failed = True
            errors.print(f"[red]error:[/] {found}", highlight=False, soft_wrap=True)
        elif as_json:
            told.append(found.model_dump(mode="json"))
        else:
            said = [(one, one.action_classification) for one in found.segments]
            rows = [
                [f"{one.timestamp:.2f}", what.action, f"{what.confidence:.2f}", one.repetitions or ""]
                for one, what in said
            ]
            print_table(f"{video} ({found.processing_method})", ["s", "action", "confidence", "times"], rows)
            if not rows:
                console.print(f"{video}: nothing found, looked at as {found.processing_method}", highlight=False)
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    if failed:
        raise typer.Exit(1)


@evaluate_app.command("actions")
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
        print(json.dumps(metrics, ensure_ascii=False, indent=2))
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
        console.print(f"{name} was not asked: {why}", highlight=False, soft_wrap=True)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)


def _yes(present: object) -> str:
    return "yes" if present else "no"
