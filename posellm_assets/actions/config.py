"""Settings of recognising actions, and the jobs of its programs. Torch-free: the code server imports it."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.moments.config import HitConfig, WindowConfig
from posellm_assets.footage.splits import Split
from posellm_assets.generations.gate import Rival
from posellm_assets.program import Job
from posellm_assets.records import Record
from posellm_assets.vision.config import VisionJob, VisionModelConfig, VisionTrainingConfig

Method = Literal["auto", "clip", "hits", "windows"]


class ActionsConfig(Record):
    """Recognising actions."""

    dataset: DatasetConfig = DatasetConfig()
    model: VisionModelConfig = VisionModelConfig()
    training: VisionTrainingConfig = VisionTrainingConfig()


class ActionJob(VisionJob):
    """What `python -m posellm_assets.actions.train` is given."""

    program: ClassVar[str] = "posellm_assets.actions.train"
    together: ClassVar[bool] = True


class RecognitionConfig(Record):
    """Recognising actions in a video."""

    method: Method = Field(default="auto", description="auto: a short video whole, else hits or windows by the sport")
    longest_clip_s: float = Field(default=5.0, gt=0, description="auto: up to this long a video is one action")
    rule: Literal["weighted", "threshold"] = Field(
        default="weighted", description="threshold: the first member that is surer than `threshold` decides alone"
    )
    threshold: float = Field(
        default=0.8, gt=0, le=1, description="How sure a member must be to decide alone, by the rule of that name"
    )
    order: tuple[str, ...] = Field(
        default=("vision-language", "video-mae", "language", "motion"),
        description="In which order the threshold rule asks the members",
    )
    video_mae: Path | None = Field(
        default=None, description="Folder of VideoMAE weights; without it that member is absent, and the report says so"
    )
    hits: HitConfig = HitConfig()
    windows: WindowConfig = WindowConfig()


class RecogniserJob(Job):
    """What `python -m posellm_assets.actions.train_recogniser` is given."""

    program: ClassVar[str] = "posellm_assets.actions.train_recogniser"

    dataset: Path = Field(description="Folder of the dataset of actions")
    motions: dict[str, Path] = Field(description="The motion file of each video of the lake, by key")
    out: Path = Field(description="Folder of the finished recogniser")
    language_model: Path | None = Field(default=None, description="Finished model of a language stage")
    tokenizer: Path | None = Field(default=None, description="Folder of the tokenizer whose codes that model uses")
    vision_model: Path | None = Field(default=None, description="Finished vision-language model")
    config: RecognitionConfig = RecognitionConfig()
    seed: int = 0


class ReportJob(Job):
    """What `python -m posellm_assets.actions.evaluate` is given."""

    program: ClassVar[str] = "posellm_assets.actions.evaluate"

    recogniser: Path
    rival: Rival | None = Field(default=None, description="The recogniser in use, asked about the same clips")
    dataset: Path
    motions: dict[str, Path]
    rendered: list[str] = Field(default=[], description="Video keys that show a rendered figure and no person")
    split: Split = "test"
    out: Path = Field(description="Folder of the report: index.html, metrics.json")
    config: RecognitionConfig = RecognitionConfig()
    seed: int = 0
