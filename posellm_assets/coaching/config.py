"""Settings of coaching. Torch-free: the code server imports it."""

from typing import Literal

from pydantic import Field

from posellm_assets.coaching.model.config import CoachingModelConfig
from posellm_assets.endpoint import EndpointConfig
from posellm_assets.evaluation.config import TextMetricsConfig
from posellm_assets.records import Record


class ImagesConfig(Record):
    """Which pictures show enough of one person."""

    min_visibility: float = Field(default=0.5, ge=0, le=1, description="From which on a joint counts as visible")
    min_visible_joints: int = Field(
        default=8, ge=1, le=12, description="Of shoulders, elbows, wrists, hips, knees and ankles"
    )


class CoachingDatasetConfig(Record):
    """How labels become rows to train on."""

    most_repeats: int = Field(
        default=4, ge=1, description="How often a training row may come, so that rare activities are not left behind"
    )
    max_characters: int = Field(default=32_000, ge=1000, description="Of a row; longer ones are left out")


class CoachingConfig(Record):
    """Who labels clips (the built-in rules, a model behind an endpoint, or two of them that must agree), and what
    becomes of labels."""

    teachers: tuple[Literal["rules"] | EndpointConfig, ...] = Field(
        default=("rules",),
        min_length=1,
        max_length=2,
        description="'rules' or an endpoint (url, model, key_variable, prices, max_usd); of two, what both say counts",
    )
    images: ImagesConfig = ImagesConfig()
    dataset: CoachingDatasetConfig = CoachingDatasetConfig()
    model: CoachingModelConfig = CoachingModelConfig()
    text_metrics: TextMetricsConfig = TextMetricsConfig()
