"""Settings of the coaching models, and the job of their report. Torch-free: the code server imports it."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from posellm_assets.language.config import ModelConfig, StageConfig, TinyConfig
from posellm_assets.program import Job
from posellm_assets.records import Record
from posellm_assets.vision.config import FramesConfig, VisionJob, VisionModelConfig, VisionTrainingConfig

Kind = Literal["language", "vision"]


class ImagesConfig(Record):
    """Which pictures show enough of one person."""

    min_visibility: float = Field(default=0.5, ge=0, le=1, description="From which on a joint counts as visible")
    min_visible_joints: int = Field(
        default=8, ge=1, le=12, description="Of shoulders, elbows, wrists, hips, knees and ankles"
    )


class CoachingDatasetConfig(Record):
    """How labels become rows to train on."""

    most_repeats: int = Field(
        default=4, ge=1, description="How often a training row may come, so that rare activities are learned too"
    )
    max_characters: int = Field(default=32_000, ge=1000, description="Of a row; longer ones are left out")


class CoachingVisionConfig(Record):
    """The vision-language model that answers about pictures, trained as the one that names actions is."""

    model: VisionModelConfig = Field(
        default=VisionModelConfig(frames=FramesConfig(count=2, size_px=384)),
        description="The base, and of `frames` the size: a picture is shown as a film in which nothing moves",
    )
    training: VisionTrainingConfig = Field(
        default=VisionTrainingConfig(epochs=10.0, clips_per_batch=1, batches_per_step=8),
        description="A row is thousands of tokens long, so that one is read at a time",
    )


class CoachingModelConfig(Record):
    """The model that answers about athletes: which of two, and how it is trained."""

    kind: Kind = Field(
        default="language",
        description="'language' (`model`, `stage`) reads facts and motion codes, 'vision' facts and pictures",
    )
    vision: CoachingVisionConfig = CoachingVisionConfig()
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


class CoachingVisionJob(VisionJob):
    """What `python -m posellm_assets.coaching.model.vision_train` is given."""

    program: ClassVar[str] = "posellm_assets.coaching.model.vision_train"
    together: ClassVar[bool] = True


class CoachingReportJob(Job):
    """What `python -m posellm_assets.coaching.model.report` is given."""

    program: ClassVar[str] = "posellm_assets.coaching.model.report"

    kind: Kind = "language"
    model: Path
    train: Path
    test: Path
    rendered: list[str] = Field(default=[], description="Video keys that show a rendered figure and no person")
    out: Path
