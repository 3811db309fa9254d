"""Settings of coaching. Torch-free: the code server imports it."""

from pydantic import Field

from posellm_assets.coaching.labels.config import TeacherConfig
from posellm_assets.coaching.model.config import CoachingDatasetConfig, CoachingModelConfig, ImagesConfig
from posellm_assets.coaching.streaming.config import TextMetricsConfig
from posellm_assets.records import Record


class CoachingConfig(Record):
    """Who labels clips (the built-in rules, a model behind an endpoint, or two of them that must agree), and what
    becomes of labels."""

    teachers: tuple[TeacherConfig, ...] = Field(
        default=("rules",),
        min_length=1,
        max_length=2,
        description="'rules' or an endpoint (url, model, key_variable, prices, max_usd); of two, what both say counts",
    )
    images: ImagesConfig = ImagesConfig()
    dataset: CoachingDatasetConfig = CoachingDatasetConfig()
    model: CoachingModelConfig = CoachingModelConfig()
    text_metrics: TextMetricsConfig = TextMetricsConfig()
