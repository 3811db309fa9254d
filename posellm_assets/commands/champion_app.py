"""`posellm champion`: which model is released, which were, which are not and why, and changing it by hand."""

import getpass
import json
from typing import TYPE_CHECKING, Annotated

import typer

from posellm_assets.commands.console import JsonOption, LakeOption, console, print_table
from posellm_assets.lake import Lake

if TYPE_CHECKING:
    from posellm_assets.generations.champion import Champion

app = typer.Typer(no_args_is_help=True, help="The released model: show it, promote another, go back.")

ScopeOption = Annotated[str, typer.Option(help="all, or a sport that has generations of its own.")]
ByOption = Annotated[str | None, typer.Option(help="Who does it, for the record; you if not given.")]
WhyOption = Annotated[str | None, typer.Option(help="Why, for the record.")]


@app.command()
def show(lake: LakeOption = "data_lake", scope: ScopeOption = "all", as_json: JsonOption = False) -> None:
    """The released model, and the generations that were not released with the reasons."""
    from posellm_assets.generations.champion import candidates, read_champion

    here = Lake(lake)
    champion, waiting = read_champion(here, scope), candidates(here, scope)
    if as_json:
        found = {"champion": champion.model_dump() if champion else None, "candidates": waiting}
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    if champion:
        _print_release(here, champion)
    else:
        console.print(f"No model of {scope} has been released yet.")
    print_table("not released", ["generation", "why"], [[key, "\n".join(why)] for key, why in waiting.items()])


@app.command()
def history(lake: LakeOption = "data_lake", scope: ScopeOption = "all", as_json: JsonOption = False) -> None:
    """Every promotion and rollback, oldest first."""
    from posellm_assets.generations.champion import read_history

    releases = read_history(Lake(lake), scope)
    if as_json:
        print(json.dumps([release.model_dump() for release in releases], ensure_ascii=False, indent=2))
        return
    rows = [
        [release.promoted_at, release.change, release.snapshot, release.promoted_by, "\n".join(release.reasons)]
        for release in releases
    ]
    print_table(f"releases of {scope}", ["when", "what", "generation", "by", "why"], rows)
    if not rows:
        console.print(f"No model of {scope} has been released yet.")


@app.command("promote")
def promote_by_hand(
    snapshot: Annotated[str, typer.Argument(help="The generation to release, such as all-0003.")],
    lake: LakeOption = "data_lake",
    by: ByOption = None,
    why: WhyOption = None,
) -> None:
    """Release a generation, whatever the gate said of it."""
    from posellm_assets.generations.champion import candidates, promote, read_champion
    from posellm_assets.generations.snapshots import read_snapshot

    here = Lake(lake)
    frozen = read_snapshot(here, snapshot)
    released = read_champion(here, frozen.scope)
    refused = candidates(here, frozen.scope).get(snapshot, [])
    champion = promote(
        here,
        snapshot=snapshot,
        stage=frozen.last_stage,
        lineage=frozen.lineage,
        reasons=[*([why] if why else []), *(f"The gate had said: {reason}" for reason in refused)],
        by=by or getpass.getuser(),
        instead_of=released.snapshot if released else None,
    )
    _print_release(here, champion)


@app.command()
def rollback(
    lake: LakeOption = "data_lake", scope: ScopeOption = "all", by: ByOption = None, why: WhyOption = None
) -> None:
    """Release the model again that the champion replaced."""
    from posellm_assets.generations.champion import roll_back

    here = Lake(lake)
    _print_release(here, roll_back(here, by=by or getpass.getuser(), scope=scope, why=why))


def _print_release(lake: Lake, champion: "Champion") -> None:
    what = "released" if champion.change == "promotion" else "rolled back to"
    lines = [
        f"{champion.snapshot}: {what} on {champion.promoted_at} by {champion.promoted_by}",
        f"model: {champion.model(lake)}",
        f"report: {lake.report(champion.snapshot) / 'index.html'}",
        *(f"- {reason}" for reason in champion.reasons),
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
