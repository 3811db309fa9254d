"""What a recogniser consists of: the `recogniser.json` in its folder. Torch-free: the code server imports it."""

from pathlib import Path
from typing import Self

from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.ensemble import Ensemble
from posellm_assets.files import read_record, write_json
from posellm_assets.records import Record

FILE = "recogniser.json"


class FamiliarityRecord(Record):
    """How the limit of what is familiar was set: on so many clips of known classes, of these `held_out` for validation
    and the rest by cross-validation, and on `others`, the validation clips of classes that were never taught."""

    clips: int
    held_out: int
    others: int


class RecogniserRecord(Record):
    """Who is asked about which classes, and how far each is believed."""

    label_set: LabelSet
    members: dict[str, dict[str, str]]
    """By member, the paths of its models from the folder of the recogniser."""
    absent: dict[str, str]
    """By member who is not asked, why."""
    ensemble: Ensemble
    familiarity: FamiliarityRecord | None
    """None where nothing tells what is none of the classes: `absent` says why."""
    training_clips: int
    validation_clips: int
    seed: int
    cpu_seconds: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote; raises FileNotFoundError where there is no recogniser, ValueError for a damaged one.

        The message says what to do.
        """
        path = folder / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} holds no recogniser; label some footage and materialize the asset action_recogniser"
            )
        return read_record(path, cls, "materialize action_recogniser for its snapshot again")

    def write(self, folder: Path) -> None:
        """Write the record atomically as JSON."""
        write_json(folder / FILE, self.model_dump(mode="json"))
