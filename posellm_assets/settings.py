"""All settings in one typed object: defaults, then `posellm.yaml` beside the lake, then `POSELLM_*`.

Each room declares its own settings in its `config.py`; this module only puts them together. Nested names are joined
by two underscores in the environment: `POSELLM_POSES__MAX_PEOPLE=3`.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from posellm_assets.actions.config import ActionsConfig, RecognitionConfig
from posellm_assets.cluster.config import ClusterConfig
from posellm_assets.coaching.config import CoachingConfig
from posellm_assets.coaching.streaming.config import StreamingConfig
from posellm_assets.evaluation.config import EvaluationConfig
from posellm_assets.footage.config import FootageConfig
from posellm_assets.generations.retraining import RetrainingRule
from posellm_assets.keys import ALL_SPORTS, slug
from posellm_assets.lake import Lake
from posellm_assets.language.config import STAGES, GenerationConfig, ModelConfig, SamplingConfig, StageConfig
from posellm_assets.motion.config import MotionConfig, TokenizerConfig
from posellm_assets.poses.config import PoseConfig
from posellm_assets.records import Record
from posellm_assets.texts.config import TextsConfig
from posellm_assets.yaml_files import YamlFile, fault, nearest, read_yaml

SETTINGS_FILE = "posellm.yaml"
PREFIX = "POSELLM_"
OTHER_VARIABLES = ("POSELLM_LAKE", "POSELLM_CACHE", "POSELLM_SETTINGS", "POSELLM_TEST_DATA", "POSELLM_TEST_DEMO")


class AutomationConfig(Record):
    """When the graph trains by itself."""

    rules: dict[str, RetrainingRule] = Field(
        default={ALL_SPORTS: RetrainingRule()},
        description="What starts a generation, by scope: 'all' sports, or a sport that gets models of its own",
    )
    max_videos_per_run: int = Field(default=200, ge=1, description="videos of one range run")
    fresh_for_days: float = Field(
        default=30, gt=0, description="an asset of which nothing was made for so long is shown as overdue in the UI"
    )
    alert_variable: str | None = Field(
        default=None,
        description="The environment variable with the address that a failed run is sent to, as Slack, Mattermost and "
        "Discord (its address with /slack) take messages",
    )

    @field_validator("rules")
    @classmethod
    def _scopes_are_folder_names(cls, rules: dict[str, RetrainingRule]) -> dict[str, RetrainingRule]:
        for scope in rules:
            if slug(scope, "") != scope:
                raise ValueError(f"{scope!r} is no scope: name 'all' or a sport as keys have it, such as table-tennis")
        return rules


class LanguageConfig(Record):
    """The base model, the stages that train it, what later generations change in them, and how motion is drawn."""

    model: ModelConfig = ModelConfig()
    stages: tuple[StageConfig, ...] = Field(default=STAGES, min_length=1)
    generation: GenerationConfig = GenerationConfig()
    sampling: SamplingConfig = SamplingConfig()
    text_encoder: str | None = Field(
        default=None,
        description="A Hugging Face id or local folder of a text encoder, such as sentence-transformers/"
        "all-MiniLM-L6-v2, by which prompts are found near to what was taught; without it that goes by words",
    )

    @field_validator("stages")
    @classmethod
    def _stages_have_names_of_their_own(cls, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        names = [stage.name for stage in stages]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two stages are called {twice[0]!r}: give each a name of its own")
        return stages


class UiConfig(Record):
    """The Dagster UI as `make ui` serves it."""

    hosts: tuple[str, ...] = Field(
        default=(),
        description="Names besides localhost that it is called by, such as that of a proxy before it that asks for a "
        "login: it has none of its own",
    )


class AppConfig(Record):
    """The page that `posellm app` serves."""

    max_upload_mb: int = Field(default=200, ge=1, description="The largest file that it takes")
    max_clip_s: float = Field(default=300.0, gt=0, description="The longest video that it looks at (s)")


class Settings(BaseSettings):
    """Everything that can be set, with defaults that serve the demo."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    seed: int = Field(default=0, description="What everything that is drawn at random follows from")
    hub: str | None = Field(
        default=None,
        description="Where checkpoints are also put: hf://NAMESPACE, hf://NAMESPACE/NAME-{stage} (hf+public://... "
        "where the repository may be public), a folder or an fsspec URL; `hub` in the lake if not given",
    )
    footage: FootageConfig = FootageConfig()
    poses: PoseConfig = PoseConfig()
    motion: MotionConfig = MotionConfig()
    texts: TextsConfig = TextsConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    # Made by a factory, pydantic does not write its defaults out, and what was set can be told from what was not.
    language: LanguageConfig = Field(default_factory=LanguageConfig)
    evaluation: EvaluationConfig = EvaluationConfig()
    actions: ActionsConfig = ActionsConfig()
    recognition: RecognitionConfig = RecognitionConfig()
    streaming: StreamingConfig = StreamingConfig()
    coaching: CoachingConfig = CoachingConfig()
    automation: AutomationConfig = AutomationConfig()
    app: AppConfig = AppConfig()
    ui: UiConfig = UiConfig()
    cluster: ClusterConfig = ClusterConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller gives first, then the environment, then the file."""
        assert isinstance(init_settings, InitSettingsSource)
        given = dict(init_settings.init_kwargs)
        of_file = InitSettingsSource(settings_cls, given.pop(SETTINGS_FILE, {}))
        return InitSettingsSource(settings_cls, given), env_settings, of_file


def load_settings(lake: Lake, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force for `lake`; `overrides` are those of a script or a test, never of Dagster's run config.

    Raises ValueError naming the file and line, or the variable, of what does not fit, and the nearest setting.
    """
    path = settings_path(lake)
    file = read_yaml(path.read_bytes(), str(path)) if path.exists() else YamlFile(str(path))
    content = {} if file.content is None else file.content
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected settings by name, found {type(content).__name__}")
    for key in [*content, *(overrides or {})]:
        if key not in Settings.model_fields:
            raise ValueError(f"{file.where((key,))}: {key} is not known; {nearest(str(key), Settings.model_fields)}")
    for name in os.environ:
        _check_variable(name)
    try:
        return Settings(**{SETTINGS_FILE: content, **(overrides or {})})
    except ValidationError as error:
        raise ValueError("; ".join(_in_words(one, file) for one in error.errors(include_url=False))) from error
    except SettingsError as error:  # a variable with a whole room as JSON
        raise ValueError(f"{error}: give it as JSON, or one setting as {PREFIX}ROOM__SETTING") from error


def _check_variable(name: str) -> None:
    """Raise ValueError for a variable that is meant as a setting and is none."""
    room, *below = name.lower().removeprefix(PREFIX.lower()).split("__")
    if not name.startswith(PREFIX) or room in Settings.model_fields or name in OTHER_VARIABLES:
        return
    near = difflib.get_close_matches(room, Settings.model_fields, n=1, cutoff=0.6)
    if near or below:
        variables = [PREFIX + "__".join([one, *below]).upper() for one in near]
        remedy = f"did you mean {variables[0]}?" if near else f"there are {', '.join(Settings.model_fields)}"
        raise ValueError(f"the variable {name} sets nothing; {remedy}")


def _in_words(error: ErrorDetails, file: YamlFile) -> str:
    """What is wrong, and which variable, or which line of the file, says it."""
    place = tuple(error["loc"])
    words = fault(error["type"], place, error["msg"], Settings)
    path = [str(part).lower() for part in place]
    for name in os.environ:
        own = name.lower().removeprefix(PREFIX.lower()).split("__")
        if name.startswith(PREFIX) and own == path[: len(own)]:
            return f"the variable {name}: {words}"
    return f"{file.where(place)}: {words}"


def settings_path(lake: Lake) -> Path:
    """Where the settings file of a lake is looked for: beside the lake, unless the environment names another."""
    named = os.environ.get("POSELLM_SETTINGS")
    if named:
        return Path(named)
    return lake.root.absolute().parent / SETTINGS_FILE
