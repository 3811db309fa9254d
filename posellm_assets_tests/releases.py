"""Models that a test needs in use, without a gate."""

from collections.abc import Sequence
from pathlib import Path

from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import LabelledMotion, MotionClassifier
from posellm_assets.actions.members.ensemble import Ensemble
from posellm_assets.actions.record import RecogniserRecord
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


def put_recogniser_in_use(lake: Lake, examples: Sequence[LabelledMotion], labels: Sequence[str]) -> Release:
    """Promote a recogniser that knows `labels` by the motion of `examples` alone."""
    folder = lake.recogniser("all-0001")
    MotionClassifier.fit(list(examples), list(labels)).save(folder / "motion")
    RecogniserRecord(
        label_set=LabelSet.of_labels("gym", list(labels)),
        members={"motion": {"model": "motion"}},
        absent={},
        ensemble=Ensemble(members=("motion",), temperatures={"motion": 1}, weights={"motion": 1}),
        familiarity=None,
        training_clips=len(examples),
        validation_clips=0,
        seed=0,
        cpu_seconds=0.0,
    ).write(folder)
    return put_in_use(lake, "recogniser", "all-0001")
