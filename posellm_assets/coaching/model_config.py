"""Settings and job of the coaching language model. Torch-free: the code server imports it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from posellm_assets.language.config import ModelConfig, StageConfig, TinyConfig


class CoachingModelConfig(BaseModel):
    """The language model that answers about measured clips, trained as a stage of `language` is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig = Field(
        default=ModelConfig(tiny=TinyConfig(text_tokens=1024)), description="The base; tiny, or one to fine-tune"
    )
    stage: StageConfig = Field(
        default=StageConfig(
            name="coaching_model",
            tasks={"m2t": 1.0},
            steps=600,
            row_tokens=1024,
            evaluate_every=50,
            patience=4,
        ),
        description="Patience keeps the weights of the lowest loss on held-out participants, not the last ones",
    )


class CoachingReportJob(BaseModel):
    """What `python -m posellm_assets.coaching.model_report` is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    train: Path
    test: Path
    out: Path
