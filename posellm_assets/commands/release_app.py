"""`posellm release`: what is in use of each kind of model, what was, what is not and why, and changing it by hand."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from posellm_assets.commands.console import JsonOption, LakeOption, console, print_json, print_table
from posellm_assets.keys import ALL_SPORTS
from posellm_assets.lake import PAGE, Lake, ModelKind

if TYPE_CHECKING:
    from posellm_assets.generations.releases import Release

app = typer.Typer(no_args_is_help=True, help="The models in use: show them, promote others, go back.")

KindOption = Annotated[ModelKind, typer.Option(help="Which kind of model.")]
ScopeOption = Annotated[str, typer.Option(help="Of language models: all, or a sport that has generations of its own.")]
ByOption = Annotated[str | None, typer.Option(help="Who does it, for the record; you if not given.")]
WhyOption = Annotated[str | None, typer.Option(help="Why, for the record.")]


@app.command()
def show(
    lake: LakeOption = "data_lake",
    kind: Annotated[ModelKind | None, typer.Option(help="Only this kind of model.")] = None,
    scope: ScopeOption = ALL_SPORTS,
    as_json: JsonOption = False,
) -> None:
    """The model in use of each kind, and those that were measured and not promoted, with the reasons."""
    from posellm_assets.generations.releases import ABOUT, KINDS, candidates, in_use

    here, kinds = Lake(lake), [kind] if kind else list(KINDS)
    used = {one: in_use(here, one, scope) for one in kinds}
    waiting = {one: candidates(here, one, scope) for one in kinds}
    if as_json:
        found = {
            one: {
                "in_use": release and release.model_dump(mode="json"),
                "candidates": {name: list(outcome.reasons) for name, outcome in waiting[one].items()},
            }
            for one, release in used.items()
        }
        print_json(found)
        return
    for one, release in used.items():
        if release:
            _print_release(here, release)
        else:
            _say(f"{ABOUT[one].noun}: none has been promoted yet.")
    rows = [[one, name, "\n".join(why.reasons)] for one, refused in waiting.items() for name, why in refused.items()]
    print_table("not promoted", ["kind", "model", "why"], rows)


@app.command("history")
def show_history(
    lake: LakeOption = "data_lake",
    kind: KindOption = "language",
    scope: ScopeOption = ALL_SPORTS,
    as_json: JsonOption = False,
) -> None:
    """Every promotion and rollback, oldest first."""
    from posellm_assets.generations.releases import ABOUT, history

    releases = history(Lake(lake), kind, scope)
    if as_json:
        print_json([release.model_dump(mode="json") for release in releases])
        return
    rows = [
        [one.promoted_at, one.change, one.name, one.promoted_by, one.gate, "\n".join(one.reasons)] for one in releases
    ]
    print_table(f"releases of the {ABOUT[kind].noun}", ["when", "what", "model", "by", "gate", "why"], rows)
    if not rows:
        _say(f"{ABOUT[kind].noun}: none has been promoted yet.")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="The generation to put in use, such as all-0003; or a tokenizer.")],
    lake: LakeOption = "data_lake",
    kind: KindOption = "language",
    by: ByOption = None,
    why: WhyOption = None,
) -> None:
    """Put a model in use that was measured, whatever the gate said of it."""
    from posellm_assets.generations.releases import promote_by_hand

    here = Lake(lake)
    _print_release(here, promote_by_hand(here, kind, name, by=by or getpass.getuser(), why=why))


@app.command()
def rollback(
    lake: LakeOption = "data_lake",
    kind: KindOption = "language",
    scope: ScopeOption = ALL_SPORTS,
    by: ByOption = None,
    why: WhyOption = None,
) -> None:
    """Put the model in use again that the one in use replaced."""
    from posellm_assets.generations.releases import roll_back

    here = Lake(lake)
    _print_release(here, roll_back(here, kind, by=by or getpass.getuser(), scope=scope, why=why))


def _print_release(lake: Lake, release: "Release") -> None:
    from posellm_assets.generations.releases import ABOUT

    what = "promoted" if release.change == "promotion" else "rolled back to"
    about = ABOUT[release.kind]
    _say(f"{about.noun} {release.name}: {what} on {release.promoted_at} by {release.promoted_by}")
    _say(f"  folder: {release.path(lake)}")
    if about.report:
        _say(f"  report: {about.report(lake, release.name) / PAGE}")
        _say(f"  gate: {release.gate}")
    for reason in release.reasons:
        _say(f"  - {reason}")


def _say(text: str) -> None:
    console.print(text, soft_wrap=True)
