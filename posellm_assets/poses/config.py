"""Settings of pose extraction and of the gates that a clip's poses must pass."""

from typing import Literal

from pydantic import Field

from posellm_assets.records import Record


class PoseConfig(Record):
    """How landmarks are extracted, and when they are good enough to build on."""

    network: Literal["full", "full-with-masks"] = Field(
        default="full",
        description="The model bundle. `full` has MediaPipe's full network without its mask decoder, which changes no "
        "landmark and is faster; `full-with-masks` is the network as published.",
    )
    max_people: int = Field(
        default=4,
        ge=1,
        le=16,
        description="How many people at most are followed where several are in view. A clip with one person in view is "
        "extracted with one, which is faster and which MediaPipe smooths; 1 takes every clip so.",
    )
    min_confidence: float = Field(
        default=0.5, ge=0, le=1, description="Confidence from which on MediaPipe finds, keeps and tracks a person."
    )
    piece_s: float = Field(
        default=60.0, ge=1, description="A clip longer than 1.5 times this is cut into pieces of this length."
    )
    overlap_frames: int = Field(
        default=30, ge=0, description="Frames by which a piece starts early, so that tracking has settled at the seam."
    )
    min_coverage: float = Field(
        default=0.3, ge=0, le=1, description="Gate: the share of frames in which the subject must be seen."
    )
    min_body_in_view: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Gate: the share of frames with the body from shoulders to knees in the picture and an arm or a "
        "leg made out. What is hidden is left out of what is measured, and keeps no clip out.",
    )
    max_bone_variation: float = Field(
        default=0.2,
        ge=0,
        description="Gate: median variation (robust, relative) of the lengths of limbs. What is no person has more.",
    )
    max_swap_share: float = Field(
        default=0.02, ge=0, le=1, description="Warning: the share of frames in which left and right change places."
    )
    max_jitter: float = Field(
        default=0.02, ge=0, description="Warning: median frame-to-frame shake of the landmarks, in torso lengths."
    )
    min_fps: float = Field(
        default=14.5, ge=0, description="Warning: frames a second, in the slowest tenth of the clip."
    )
