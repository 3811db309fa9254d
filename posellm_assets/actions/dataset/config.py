"""Settings of data sets of actions. Torch-free: the code server imports it."""

from pydantic import Field

from posellm_assets.records import Record
from posellm_assets.texts.config import Language


class DatasetConfig(Record):
    """How clips become questions and answers."""

    languages: tuple[Language, ...] = Field(
        default=("en",),
        min_length=1,
        description="Of questions and answers; a class without a name in one is skipped there",
    )
    questions_per_clip: int = Field(default=3, gt=0, description="Of a training clip; val and test have one")
