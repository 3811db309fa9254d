"""Settings of the motion room, and the jobs that its two programs are given. Torch-free: the code server imports it."""

import math
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from posellm_assets.program import Job
from posellm_assets.records import Record


class MotionConfig(Record):
    """How landmarks of a video, or a motion-capture file, become a motion."""

    fps: float = Field(default=20.0, gt=0, description="Frame rate of every motion and tokenizer")
    skeleton: Literal["body", "source"] = Field(
        default="body", description="Motion capture on the skeleton that videos have, or on its own"
    )
    gap_s: float = Field(default=0.2, ge=0, description="Gaps up to this long are filled and flagged")
    min_visibility: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Joints that are less visible count as guessed, and frames without visible shoulders as unseen",
    )
    min_segment_s: float = Field(default=0.8, gt=0, description="The longest stretch without a gap is at least this")
    smoothing_frames: int = Field(
        default=7,
        ge=3,
        description="Footage frames under the Savitzky-Golay window (quadratic, odd number); fewer below 20 frames/s",
    )

    @field_validator("smoothing_frames")
    @classmethod
    def _odd(cls, frames: int) -> int:
        if frames % 2 == 0:
            raise ValueError("a Savitzky-Golay window has a middle: give an odd number of frames")
        return frames


class TokenizerConfig(Record):
    """Shape and training of the motion tokenizer: `layers` codes of each body part for every `frames_per_step` frames.

    The budget is a number of steps, so that a seed gives the same tokenizer again.
    """

    start: Literal["shipped", "tuned", "own"] = Field(
        default="shipped",
        description="shipped: the codes that come with the package, without training; tuned: trained from there on the "
        "lake's footage; own: trained on the lake's footage alone",
    )
    frames_per_step: int = Field(default=8, ge=1, description="Frames of a motion that its codes stand for together")
    codes: int = Field(default=2048, ge=2, description="Codes of a body part in each layer")
    layers: int = Field(
        default=1,
        ge=1,
        description="Residual layers: codes that each part of a step is written as. The shipped codes have two: the "
        "first alone is what a language model learns best, both tell the movement more exactly",
    )
    code_size: int = Field(default=32, ge=2, description="Dimensions of a code vector")
    width: int = Field(default=128, ge=8, description="Channels of the encoders and decoders")
    encoder_blocks: int = Field(default=2, ge=1, description="Residual blocks of each encoder")
    decoder_blocks: int = Field(default=3, ge=1, description="Residual blocks of each decoder")
    steps: int = Field(default=1000, ge=1, description="Steps of training")
    learning_rate: float = Field(default=1e-3, gt=0, description="The highest learning rate")
    frames_per_batch: int = Field(
        default=1024, ge=16, description="Frames of motion in a batch, whatever the length of its windows"
    )
    windows: tuple[int, ...] = Field(
        default=(16, 32, 64, 96, 128, 192), description="Frames of a training window; shorter stretches cannot be used"
    )
    speeds: tuple[float, ...] = Field(
        default=(0.85, 1.0, 1.18),
        description="Playing speeds of the re-tokenised variants of a clip; training draws from the range of them",
    )
    phases: tuple[int, ...] = Field(default=(0, 2), description="Frames cut off the front of the re-tokenised variants")
    warps: tuple[float, ...] = Field(
        default=(), description="Further re-tokenised variants at a smoothly bent tempo: how far, e.g. [0.2]"
    )
    noises_mm: tuple[float, ...] = Field(
        default=(), description="Further re-tokenised variants with noisy joints: standard deviations, e.g. [5]"
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Steps between checkpoints, beside the ones at half and at the end"
    )
    checkpoint_minutes: float | None = Field(default=None, gt=0, description="Minutes between further checkpoints")
    threads: int = Field(default=1, ge=1, description="Torch threads; they can change the last bits of the weights")

    @field_validator("speeds")
    @classmethod
    def _with_original_speed(cls, speeds: tuple[float, ...]) -> tuple[float, ...]:
        if 1.0 not in speeds or min(speeds) <= 0:
            raise ValueError(f"speeds are positive and 1.0 is one of them, not {speeds}")
        return speeds

    @field_validator("phases")
    @classmethod
    def _with_original_phase(cls, phases: tuple[int, ...]) -> tuple[int, ...]:
        if 0 not in phases or min(phases) < 0:
            raise ValueError(f"phases are not negative and 0 is one of them, not {phases}")
        return phases

    @model_validator(mode="after")
    def _whole_steps(self) -> "TokenizerConfig":
        if not self.windows or any(frames % self.frames_per_step for frames in self.windows):
            raise ValueError(f"each window must be a multiple of {self.frames_per_step} frames, not {self.windows}")
        return self

    @field_validator("warps", "noises_mm")
    @classmethod
    def _positive(cls, sizes: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < size < math.inf for size in sizes):
            raise ValueError(f"each must be positive, not {sizes}")
        return sizes

    @property
    def min_frames(self) -> int:
        """The shortest stretch that the tokenizer is trained on and writes tokens for."""
        return min(self.windows)


class TokenizerJob(Job):
    """What `python -m posellm_assets.motion.train_tokenizer` is given. Motion files are named `<video key>.parquet`."""

    program: ClassVar[str] = "posellm_assets.motion.train_tokenizer"

    train: list[Path]
    held_out: list[Path] = Field(description="Motions of other people, for the report only")
    out: Path = Field(description="Folder of the finished tokenizer; a killed training resumes from its checkpoint")
    hub: str | None = Field(
        default=None,
        description="Where checkpoints are also put: a folder, an fsspec URL or hf://NAMESPACE/REPOSITORY/FOLDER",
    )
    config: TokenizerConfig = TokenizerConfig()
    seed: int = 0


class TokeniseItem(Record):
    """One motion file `<video key>.parquet` and where its tokens go."""

    motion: Path
    tokens: Path
    variants: bool = Field(default=False, description="Also mirrored, faster, slower and shifted (for training)")


class TokeniseJob(Record):
    """What one process tokenises at a time."""

    tokenizer: Path = Field(description="Folder of a finished tokenizer")
    items: list[TokeniseItem]
