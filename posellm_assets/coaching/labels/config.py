"""Settings of labelling. Torch-free: the code server imports it."""

from typing import Literal

from posellm_assets.endpoint import EndpointConfig

TeacherConfig = Literal["rules"] | EndpointConfig
"""The built-in rules, or a model behind an endpoint."""
