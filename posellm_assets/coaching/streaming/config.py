"""Settings of the streaming coach, and the jobs of its programs. Torch-free: the code server imports it."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from posellm_assets.endpoint import EndpointConfig
from posellm_assets.footage.labels import Feedback
from posellm_assets.footage.splits import Split
from posellm_assets.generations.gate import Rival
from posellm_assets.motion.config import MotionConfig
from posellm_assets.program import Job
from posellm_assets.records import Record

Mode = Literal["clip", "full_session", "sliding_window"]


class StreamingConfig(Record):
    """How a coach is trained on sessions, and how it behaves."""

    mode: Mode = Field(
        default="full_session",
        description="What a training row is: a session, the stretch of one exercise (clip), or a window of a session, "
        "of whose past the model knows what was said last",
    )
    window_s: float = Field(default=20.0, gt=1, description="Length of a sliding window; the next begins half of it on")
    hidden_size: int = Field(default=96, gt=0, description="Width of the layers")
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="Share of values that is left out at random in training"
    )
    steps: int = Field(default=400, gt=0, description="Steps of training")
    rows_per_batch: int = Field(default=8, gt=0, description="Rows in a batch")
    batches_per_step: int = Field(default=1, gt=0, description="Gradient accumulation")
    learning_rate: float = Field(default=3e-3, gt=0, description="The highest learning rate")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps in which the learning rate rises")
    weight_decay: float = Field(default=0.05, ge=0, description="Weight decay of the optimizer")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="A longer gradient is scaled down to this length")
    silence_weight: float = Field(
        default=0.1,
        gt=0,
        description="What a silent window weighs against one with a message; there are about 20 of them",
    )
    slack_s: float = Field(default=0.4, ge=0, description="So shortly before a message silence is not asked for")
    evaluations: int = Field(
        default=4, gt=0, description="Times that the validation sessions are scored; the best weights are kept"
    )
    checkpoint_every: int | None = Field(
        default=None, gt=0, description="Steps between checkpoints, beside the ones at half, at the end and of the best"
    )
    checkpoint_minutes: float | None = Field(default=None, gt=0, description="Minutes between further checkpoints")
    cooldown_s: float = Field(default=2.5, ge=0, description="So long after a message the coach says nothing")
    no_repeat_s: float = Field(default=30.0, ge=0, description="So long it does not say the same words again")


class FeedbackItem(Record):
    """One video with feedback."""

    key: str
    participant: str | None
    split: Split
    poses: Path
    duration_s: float
    language: str | None
    feedback: list[Feedback]


class FeedbackJob(Job):
    """What `python -m posellm_assets.coaching.streaming.dataset` is given."""

    program: ClassVar[str] = "posellm_assets.coaching.streaming.dataset"

    items: list[FeedbackItem]
    left_out: dict[str, str] = Field(default={}, description="Videos that were taken out since, with why")
    tokenizer: Path = Field(description="Folder of the tokenizer whose codes the windows have")
    motion: MotionConfig = MotionConfig()
    out: Path


class CoachJob(Job):
    """What `python -m posellm_assets.coaching.streaming.train` is given."""

    program: ClassVar[str] = "posellm_assets.coaching.streaming.train"

    dataset: Path = Field(description="Folder that the feedback dataset was written to")
    out: Path = Field(description="Folder for checkpoints, losses, result and the finished coach")
    config: StreamingConfig = StreamingConfig()
    hub: str | None = Field(default=None, description="URL of the store to which checkpoints are copied")
    seed: int = 0
    threads: int = Field(default=1, gt=0, description="Torch threads; resuming is bit-identical for the same number")


class TextMetricsConfig(Record):
    """What BERTScore and LLM-Acc are measured with; what is not given is reported as missing."""

    bert_model: Path | None = Field(
        default=None, description="Local folder of the model of BERTScore, such as one with roberta-large"
    )
    bert_layer: int | None = Field(
        default=None, ge=1, description="Its layer; by default the one that bert-score has for the folder's name"
    )
    judge: EndpointConfig | None = Field(default=None, description="The model that marks messages for LLM-Acc")


class StreamingReportJob(Job):
    """What `python -m posellm_assets.coaching.streaming.report` is given."""

    program: ClassVar[str] = "posellm_assets.coaching.streaming.report"

    coach: Path = Field(description="Folder of the finished coach")
    dataset: Path
    rival: Rival | None = Field(default=None, description="The coach in use, measured on the same sessions")
    rendered: list[str] = Field(default=[], description="Video keys that show a rendered figure and no person")
    split: Split = "test"
    out: Path = Field(description="Folder of the report: index.html, metrics.json")
    text_metrics: TextMetricsConfig = TextMetricsConfig()
    ledger: Path | None = Field(default=None, description="Where what the judge costs is written down")
    seed: int = 0
