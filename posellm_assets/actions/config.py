"""Settings of the actions room: how clips become questions, and the vision-language model that answers them.

Torch-free, because the code server imports it.
"""

from pydantic import Field

from posellm_assets.records import Record
from posellm_assets.texts.config import Language
from posellm_assets.vision.config import VisionJob, VisionModelConfig, VisionTrainingConfig


class DatasetConfig(Record):
    """How clips become questions and answers."""

    languages: tuple[Language, ...] = Field(
        default=("en",),
        min_length=1,
        description="Of questions and answers; a class without a name in one is skipped there",
    )
    questions_per_clip: int = Field(default=3, gt=0, description="Of a training clip; val and test have one")


class ActionsConfig(Record):
    """Recognising actions."""

    dataset: DatasetConfig = DatasetConfig()
    model: VisionModelConfig = VisionModelConfig()
    training: VisionTrainingConfig = VisionTrainingConfig()


class ActionJob(VisionJob):
    """What `python -m posellm_assets.actions.train` is given."""
