"""Tokenizer lineages: each codebook keeps its own folder, because new codes mean a new model."""

import shutil
from collections.abc import Sequence

from posellm_assets.checksums import record_folder
from posellm_assets.files import write_bytes
from posellm_assets.generations.releases import in_use, promote
from posellm_assets.lake import FINAL, JOB, LOSSES, REPORT, RESULT, Lake
from posellm_assets.motion.codebook import FILE, Codebook


def lineage_in_use(lake: Lake) -> str | None:
    """The lineage in use, or None before the first tokenizer is made."""
    release = in_use(lake, "tokenizer")
    return release.name if release else None


def adopt_tokenizer(lake: Lake, *, reasons: Sequence[str], by: str) -> str:
    """Give the tokenizer that has just been made its own folder, with report, job (which says what it was trained and
    measured on) and the losses of a training, and promote it; returns its lineage.

    Where the same weights are there already, settings, report and job take the place of theirs, and where they are in
    use nothing is recorded.
    """
    training = lake.tokenizer_in_training
    lineage = Codebook.read(training / FINAL).lineage
    home = lake.tokenizer(lineage)
    made = home if home.exists() else training / FINAL
    for path, kept_as in (
        (training / FINAL / FILE, FILE),
        (training / RESULT, REPORT),
        (training / LOSSES, LOSSES),
        (training / JOB, JOB),
    ):
        if path.exists():
            write_bytes(made / kept_as, path.read_bytes())
    record_folder(made)
    if made != home:
        made.rename(home)
    shutil.rmtree(training)
    now = lineage_in_use(lake)
    if now != lineage:
        promote(lake, "tokenizer", lineage, folder=home, lineage=lineage, reasons=reasons, by=by, instead_of=now)
    return lineage
