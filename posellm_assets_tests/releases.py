"""Models that a test needs in use, without a gate."""

from pathlib import Path

from posellm_assets.generations.releases import ABOUT, Release, in_use, promote, scope_of
from posellm_assets.lake import Lake, ModelKind


def put_in_use(
    lake: Lake, kind: ModelKind, name: str, *, folder: Path | None = None, lineage: str = "vq-1", by: str = "a test"
) -> Release:
    """Promote `name` in the place of whatever is in use; its folder is made where it is not there.

    A language model is by default the one of stage3.
    """
    if folder is None:
        folder = lake.finished_model(name, "stage3") if kind == "language" else ABOUT[kind].folder(lake, name)
    folder.mkdir(parents=True, exist_ok=True)
    now = in_use(lake, kind, scope_of(kind, name))
    lineage = name if kind == "tokenizer" else lineage
    return promote(
        lake, kind, name, folder=folder, lineage=lineage, reasons=["good"], by=by, instead_of=now and now.name
    )
