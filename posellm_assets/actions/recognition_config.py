"""Settings of recognising: who is asked, where hits and windows lie, how the ensemble decides. Torch-free."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from posellm_assets.records import Record

Method = Literal["auto", "clip", "hits", "windows"]


class HitConfig(Record):
    """Which moments are hits, and what is cut out around each."""

    limbs: dict[str, Literal["hand", "foot"]] = Field(
        default={
            "badminton": "hand",
            "baseball": "hand",
            "boxing": "hand",
            "football": "foot",
            "golf": "hand",
            "handball": "hand",
            "padel": "hand",
            "soccer": "foot",
            "squash": "hand",
            "table-tennis": "hand",
            "tennis": "hand",
            "volleyball": "hand",
        },
        description="Sports that are a list of hits, and what hits; all others are looked at in windows",
    )
    min_speed: float = Field(default=4.0, gt=0, description="A hit is at least this fast (m/s, at a size of 1.75 m)")
    share_of_fastest: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="and at least this share of the video's fastest movements (98th percentile)",
    )
    min_interval_s: float = Field(default=0.7, gt=0, description="Of two hits nearer than this the stronger one stays")
    before_s: float = Field(default=0.6, gt=0, description="What is cut out: seconds before the hit")
    after_s: float = Field(default=1.2, gt=0, description="and after it")
    use_sound: bool = Field(default=False, description="A sudden sound at a candidate counts for it and times it")
    sound_weight: float = Field(default=0.3, ge=0, lt=1, description="Share of the threshold that a sound makes up for")


class WindowConfig(Record):
    """Sliding windows and how they are merged."""

    length_s: float = Field(default=2.5, gt=0)
    hop_s: float = Field(default=0.5, gt=0)
    enter: float = Field(default=0.6, gt=0, le=1, description="Mean probability at which an action begins")
    leave: float = Field(default=0.4, ge=0, le=1, description="and under which it ends")
    min_s: float = Field(default=1.0, gt=0, description="Shorter stretches are dropped")


class RecognitionConfig(Record):
    """Recognising actions in a video."""

    method: Method = Field(default="auto", description="auto: a short video whole, else hits or windows by the sport")
    longest_clip_s: float = Field(default=5.0, gt=0, description="auto: up to this long a video is one action")
    rule: Literal["weighted", "threshold"] = Field(
        default="weighted", description="threshold: the first member that is surer than `threshold` decides alone"
    )
    threshold: float = Field(default=0.8, gt=0, le=1)
    order: tuple[str, ...] = Field(
        default=("vision-language", "video-mae", "language", "motion"),
        description="In which order the threshold rule asks the members",
    )
    video_mae: Path | None = Field(
        default=None, description="Folder of VideoMAE weights; without it that member is absent, and the report says so"
    )
    hits: HitConfig = HitConfig()
    windows: WindowConfig = WindowConfig()


class RecogniserJob(Record):
    """What `python -m posellm_assets.actions.train_recogniser` is given."""

    dataset: Path = Field(description="Folder of the dataset of actions")
    motions: dict[str, Path] = Field(description="The motion file of each video of the lake, by key")
    out: Path = Field(description="Folder of the finished recogniser")
    language_model: Path | None = Field(default=None, description="Finished model of a language stage")
    tokenizer: Path | None = Field(default=None, description="Folder of the tokenizer whose codes that model speaks")
    vision_model: Path | None = Field(default=None, description="Finished vision-language model")
    config: RecognitionConfig = RecognitionConfig()
    seed: int = 0


class ReportJob(Record):
    """What `python -m posellm_assets.actions.evaluate` is given."""

    recogniser: Path
    dataset: Path
    motions: dict[str, Path]
    split: Literal["train", "val", "test"] = "test"
    out: Path = Field(description="Folder of the report: index.html, metrics.json")
    config: RecognitionConfig = RecognitionConfig()
    seed: int = 0
