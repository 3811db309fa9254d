"""Settings of coaching. Torch-free: the code server imports it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from posellm_assets.endpoint import EndpointConfig


class CoachingConfig(BaseModel):
    """Who labels clips: the built-in rules, a model behind an endpoint, or two of them that must agree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teachers: tuple[Literal["rules"] | EndpointConfig, ...] = Field(
        default=("rules",),
        min_length=1,
        max_length=2,
        description="'rules' or an endpoint (url, model, key_variable, prices, max_usd); of two, what both say counts",
    )
