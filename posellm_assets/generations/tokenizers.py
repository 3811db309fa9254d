"""Tokenizer lineages: each trained codebook keeps its own folder, because new codes mean a new model."""

import shutil
from collections.abc import Sequence

from posellm_assets.checksums import record_folder
from posellm_assets.generations.releases import in_use, promote
from posellm_assets.lake import FINAL, JOB, LOSSES, REPORT, RESULT, Lake
from posellm_assets.motion.codebook import Codebook


def lineage_in_use(lake: Lake) -> str | None:
    """The lineage in use, or None before the first tokenizer is trained."""
    release = in_use(lake, "tokenizer")
    return release.name if release else None


def adopt_tokenizer(lake: Lake, *, reasons: Sequence[str], by: str) -> str:
    """Give the tokenizer that has just been trained its own folder, with report, losses and job (which says
    what it was trained on), and promote it; returns its lineage.

    Where the same weights were trained before, their folder is kept, and where they are in use nothing is recorded.
    """
    training = lake.tokenizer_in_training
    lineage = Codebook.read(training / FINAL).lineage
    home = lake.tokenizer(lineage)
    if not home.exists():
        trained = training / FINAL
        for name, kept_as in ((RESULT, REPORT), (LOSSES, LOSSES), (JOB, JOB)):
            shutil.copyfile(training / name, trained / kept_as)
        record_folder(trained)
        trained.rename(home)
    shutil.rmtree(training)
    now = lineage_in_use(lake)
    if now != lineage:
        promote(lake, "tokenizer", lineage, folder=home, lineage=lineage, reasons=reasons, by=by, instead_of=now)
    return lineage
