"""`posellm`: thin commands over the rooms. Exit code 0 means done, 1 that something was refused or failed, 2 misuse,
3 that what was asked for is like nothing that a model learned.

Commands of one word stand here, but for those about footage in `commands/footage_commands.py`; those of two, such as
`posellm export motion`, in `commands/<first word>_app.py`.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from posellm_assets import __version__
from posellm_assets.commands import (
    coaching_app,
    dataset_app,
    evaluate_app,
    export_app,
    footage_commands,
    import_app,
    lake_app,
    release_app,
)
from posellm_assets.commands.console import (
    JsonOption,
    LakeOption,
    OverwriteOption,
    console,
    print_error,
    print_json,
    print_table,
    print_warning,
    refuse_existing,
)
from posellm_assets.lake import Lake
from posellm_assets.texts.config import Language

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in footage_commands.COMMANDS:
    app.command()(command)
app.add_typer(import_app.app, name="import")
app.add_typer(export_app.app, name="export")
app.add_typer(evaluate_app.app, name="evaluate")
app.add_typer(release_app.app, name="release")
app.add_typer(lake_app.app, name="lake")
app.add_typer(coaching_app.app, name="coaching")
app.add_typer(dataset_app.app, name="dataset")


def main() -> None:
    """Run the command line; what a user did wrong is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        print_error(error)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Raw sports footage in, a motion language model out."""


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="The folder to work in.")] = Path()) -> None:
    """Write what a folder needs to be worked in: the settings of Dagster and of a lake. What is there stays."""
    from posellm_assets.commands.starting import start_folder

    for path in start_folder(folder):
        console.print(f"wrote {path}", soft_wrap=True)


@app.command()
def settings() -> None:
    """Every setting, its default and what it is, as Markdown."""
    from posellm_assets.commands.settings_page import settings_page

    console.print(settings_page(), soft_wrap=True, highlight=False)


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="What to listen on; it has no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = 3000,
) -> None:
    """Serve the Dagster UI, with the sensors that take in clips and train by themselves."""
    from posellm_assets.commands.starting import serve_ui

    serve_ui(host, port)


@app.command("app")
def serve_app(
    host: Annotated[str, typer.Option(help="What to listen on; it has no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = 7860,
    lake: LakeOption = "data_lake",
) -> None:
    """Serve a page in the browser: describe, recognise, generate, coach, and what is in the lake."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise ValueError("the page needs Gradio: pip install 'posellm-assets[app]'")
    from posellm_assets.app.server import serve

    console.print(f"http://{host}:{port}", highlight=False)
    serve(lake, host, port)


@app.command()
def status(lake: LakeOption = "data_lake", as_json: JsonOption = False) -> None:
    """What is in the lake, what could not be used and why, and which models are in use."""
    from posellm_assets.commands.status import overview, told
    from posellm_assets.motion.drift import REMEDY, Drift

    found = overview(Lake(lake))
    if as_json:
        print_json(found)
        return
    console.print(told(found), highlight=False, soft_wrap=True)
    print_table("videos by sport", ["sport", "registered", "ready"], [list(row.values()) for row in found["sports"]])
    print_table("not used", ["what", "why"], [[row["what"], row["why"]] for row in found["not_used"]])
    console.print(f"waiting to be registered: {len(found['waiting'])}")
    registered, ready = (sum(row[column] for row in found["sports"]) for column in ("registered", "ready"))
    unfinished = found["unfinished"]
    waits = f": {unfinished['videos']} wait" if unfinished["videos"] else ""
    console.print(f"registered {registered}, ready {ready}{waits}", highlight=False)
    for sentence in [*unfinished["why"], *([found["asleep"]] if found["asleep"] else [])]:
        console.print(f"  {sentence}", highlight=False, soft_wrap=True, markup=False)
    for sentence in found["next"]:
        console.print(f"next generation: {sentence}", highlight=False, soft_wrap=True, markup=False)
    for drift in found["drift"]:
        console.print(f"drift: {Drift(**drift)}; {REMEDY}", soft_wrap=True)
    console.print(f"snapshots: {', '.join(found['snapshots']) or 'none'}")
    for snapshot, reason in found["left"].items():
        console.print(f"generation {snapshot} {reason}", soft_wrap=True)
    for kind, release in found["in_use"].items():
        console.print(f"{kind} in use: {release['name'] if release else 'none yet'}")
        for name, reason in found["refused"][kind].items():
            console.print(f"  {name} was refused {reason}", highlight=False, soft_wrap=True)


@app.command()
def describe(
    video: Path,
    language: Annotated[Language, typer.Option(help="Language of the sentences.")] = "en",
    as_json: JsonOption = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Say what a video shows: what the language model in use calls it and how sure it is, then what was measured.

    Nothing is stored.
    """
    from posellm_assets.commands.describe import describe_video
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    result = describe_video(here, video, load_settings(here), language)
    if as_json:
        print_json(result)
        return
    for sentence in result["sentences"]:
        console.print(f"- {sentence}", soft_wrap=True)


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
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="How many, side by side or in numbered files; the best of four if not given."),
    ] = None,
    length: Annotated[float | None, typer.Option(min=0.1, help="Seconds; as in training by default.")] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Keep the one of the samples that is most like what was asked for.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing, exit code 3, where the model learned nothing like the text."),
    ] = False,
    participant: Annotated[str | None, typer.Option(help="In the manner of a participant of the training.")] = None,
    overwrite: OverwriteOption = False,
    lake: LakeOption = "data_lake",
) -> None:
    """Generate a motion with the released model, from a text or from clips, and say what the evaluator takes it for."""
    from posellm_assets.commands.generate import NothingLike, Request, generate_motions
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    ends = [*([continued] if continued else []), *(between or [])]
    request = Request(text, ends, participant, seed, samples, best, length, strict)
    refuse_existing(request.files(out), overwrite)
    try:
        generated = generate_motions(here, load_settings(here), request, out)
    except NothingLike as error:
        print_error(error)
        raise typer.Exit(3) from error
    for warning in filter(None, (generated.warning, generated.doubt)):
        print_warning(warning)
    asked = " ... ".join(ends) if text is None else repr(text)
    for one in generated.made:
        drawn = f" (seed {one.seed})" if request.drawn > 1 else ""
        console.print(f"{out}: {one.told(asked)}{drawn}", soft_wrap=True)


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
    trained = [str(path) for path in Lake(lake).finished_models()]
    if as_json:
        print_json({"poses": poses, "trained": trained})
        return
    print_table("pose models", ["name", "present", "path"], [[m["name"], _yes(m["present"]), m["path"]] for m in poses])
    print_table("trained models", ["folder"], [[path] for path in trained])


@app.command()
def doctor(
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Each machine of the cluster, and the lake between them")
    ] = False,
) -> None:
    """Say in plain words what is missing on this machine and what to do. Exit code 1 where something needed is."""
    if cluster:
        from posellm_assets.commands.cluster_doctor import examine_cluster as examine
    else:
        from posellm_assets.commands.doctor import examine

    findings = list(examine(Lake(lake)))
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        rows = [
            [
                finding.name,
                Text("ok", "green")
                if finding.ok
                else Text("missing", "red")
                if finding.needed
                else Text("optional", "yellow"),
                finding.found,
                "" if finding.ok else finding.remedy,
            ]
            for finding in findings
        ]
        title = "the cluster" if cluster else "this machine"
        print_table(title, ["what", "", "found", "what to do"], rows)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def prune(lake: LakeOption = "data_lake") -> None:
    """Remove the checkpoints of finished trainings. Their models stay; a hub elsewhere is left as it is."""
    from posellm_assets.commands.pruning import prune as removed

    count, size = removed(Lake(lake))
    console.print(f"removed {count} checkpoints, {size / 1e6:,.0f} MB", highlight=False)


@app.command()
def coach(
    video: Annotated[Path | None, typer.Argument(help="A video file.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Instead of a file: a camera's number (0 is the first), device or address.")
    ] = None,
    exercise: Annotated[str | None, typer.Option(help="What is done, such as squat; recognised if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="x.mp4: the annotated video; x.json and x.html beside it.")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Let the rules speak although a coach was trained.")] = False,
    overwrite: OverwriteOption = False,
    lake: LakeOption = "data_lake",
    as_json: JsonOption = False,
) -> None:
    """Watch somebody train and say what could be better, while it happens. Exit code 1 where the camera was lost."""
    from posellm_assets.commands.coach import hold_session, print_session
    from posellm_assets.settings import load_settings

    here = Lake(lake)
    if out is not None:
        refuse_existing((out, out.with_suffix(".json"), out.with_suffix(".html")), overwrite)
    report, page = hold_session(here, load_settings(here), video, camera, exercise, out, rules, aloud=not as_json)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_session(report, page)
    if report.ended:
        print_error(report.ended)
        raise typer.Exit(1)


@app.command()
def demo(lake: LakeOption = "data_lake") -> None:
    """Render footage, take it in, train a generation on it, and show what it can do."""
    from posellm_assets.commands.demo import run_demo

    run_demo(Lake(lake), console)


@app.command()
def recognise(
    path: Annotated[Path, typer.Argument(help="A video, or a folder of videos.")],
    sport: Annotated[
        str | None, typer.Option(help="Its classes alone, and how to look: hits in tennis, stretches in a gym.")
    ] = None,
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
            print_error(found)
        elif as_json:
            told.append(found.model_dump(mode="json"))
        else:
            said = [(one, one.answer) for one in found.segments]
            rows = [
                [
                    f"{one.timestamp:.2f}",
                    what.action if what.action == what.likeliest else f"{what.action} (nearest: {what.likeliest})",
                    f"{what.confidence:.2f}",
                    "" if what.familiarity is None else f"{what.familiarity:.2f}",
                    one.repetitions or "",
                ]
                for one, what in said
            ]
            print_table(f"{video} ({found.method})", ["s", "action", "confidence", "familiarity", "times"], rows)
            if not rows:
                console.print(f"{video}: nothing found, looked at as {found.method}")
    if as_json:
        print_json(told)
    if failed:
        raise typer.Exit(1)


def _yes(present: object) -> str:
    return "yes" if present else "no"


if __name__ == "__main__":
    main()
