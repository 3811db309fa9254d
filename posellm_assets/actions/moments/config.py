"""Settings of finding the moments to look at. Torch-free: the code server imports it."""

from typing import Literal

from pydantic import Field

from posellm_assets.records import Record


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

    length_s: float = Field(default=2.5, gt=0, description="How long a window is")
    hop_s: float = Field(default=0.5, gt=0, description="How far apart windows begin")
    enter: float = Field(default=0.6, gt=0, le=1, description="Mean probability at which an action begins")
    leave: float = Field(default=0.4, ge=0, le=1, description="and under which it ends")
    min_s: float = Field(default=1.0, gt=0, description="Shorter stretches are dropped")
