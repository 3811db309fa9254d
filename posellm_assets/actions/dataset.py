"""Clips with the class of what they show: what recognisers are trained and measured on."""

from dataclasses import dataclass
from pathlib import Path

from posellm_assets.footage.splits import Split


@dataclass(frozen=True)
class ActionExample:
    """One action in one video, from `start_s` to `end_s` of it."""

    id: str
    video: Path
    start_s: float
    end_s: float
    class_id: str
    participant: str | None
    """Who moves, or the match that it is cut from: everything of one is in one split."""
    split: Split
    key: str | None = None
    """The video's key where it is footage of the lake."""
    hit_s: float | None = None
    """When the racket meets the ball, or the like, where that is known."""
