"""What a tokenizer keeps of motions that it was not trained on: a part of its report. Torch-free.

`tokenizer_report` measures it.
"""

from pydantic import ConfigDict, Field

from posellm_assets.files import read_record
from posellm_assets.lake import REPORT, Lake
from posellm_assets.records import Record


class MotionErrors(Record):
    """Means over clips; None where no clip has what is measured."""

    clips: int
    frames: int
    mpjpe_mm: float | None = None
    """Joint position error, root-aligned."""
    aligned_mpjpe_mm: float | None = None
    """The same with headings aligned too."""
    global_mpjpe_mm: float | None = None
    baseline_mean_pose_mm: float | None = None
    """The error of somebody who stands still in the clip's own mean pose and turns as the clip does."""
    acceleration_error_m_per_s2: float | None = None
    foot_skate_m_per_s: float | None = None
    """How fast feet slide where they are planted in the original."""
    foot_skate_original_m_per_s: float | None = None
    foot_skate_clips: int = 0


class HeldOut(MotionErrors):
    """The errors over all held-out clips, by sport and by skeleton, and how the codes are used; `reason` where none."""

    reason: str | None = None
    codes: int = 0
    """How many the clips were written as."""
    codes_used: int = 0
    """How many different ones."""
    codebook_size: int = 0
    perplexity: tuple[float, ...] = ()
    """By place in a step: of each layer the parts."""
    error_limit_mm: float | None = None
    """What `drift` judges new footage by; None where too few clips were held out."""
    by_sport: dict[str, MotionErrors] = Field(default_factory=dict)
    by_skeleton: dict[str, MotionErrors] = Field(default_factory=dict)

    @staticmethod
    def of(lake: Lake, lineage: str) -> "HeldOut":
        """What the report of a lineage says; raises FileNotFoundError or ValueError where it cannot be read."""
        path = lake.tokenizer(lineage) / REPORT
        return read_record(path, _TokenizerReport, "copy the folder again, or train the tokenizer again").held_out


class _TokenizerReport(Record):
    model_config = ConfigDict(extra="ignore")

    held_out: HeldOut
