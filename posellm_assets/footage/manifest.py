"""The manifest of a registered video: what was measured about the file, and what its owner says about it.

Derived data (poses, tokens) is not here: it lies in the folders of the rooms that make it.
"""

import unicodedata
from typing import Literal

from pydantic import Field, ValidationError

from posellm_assets.checksums import recording
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.capture import CaptureInfo, LandmarksInfo
from posellm_assets.footage.labels import Feedback
from posellm_assets.footage.splits import Split, split_of
from posellm_assets.footage.video import VideoInfo
from posellm_assets.keys import check_video_key
from posellm_assets.lake import Lake
from posellm_assets.records import Record

ClipInfo = VideoInfo | CaptureInfo | LandmarksInfo
"""What a file of the drop zone holds. Motion capture and landmarks go the way of a video."""


class FootageManifest(Record):
    """One registered video."""

    key: str
    """Partition key `<sport>.<slug>.<hash8>`."""
    sport: str
    label: str | None
    captions: list[str]
    """The owner's words about the clip, verbatim."""
    language: str | None = None
    """The language of those words and of the label, where the owner said it."""
    feedback: list[Feedback] = Field(default_factory=list)
    """What a coach said, and when, verbatim."""
    participant: str | None
    mirrored: bool = False
    """The camera stored the picture as a mirror shows it."""
    rendered: bool = False
    """It shows a rendered figure and no person."""
    form: Literal["correct", "wrong"] | None = None
    """How well the movement is done, as its owner says."""
    source: str
    """Path of the file below `lake.raw`, with forward slashes."""
    sha256: str
    size_bytes: int
    video: ClipInfo
    registered_at: str
    """UTC, ISO 8601."""

    @property
    def split_group(self) -> str:
        """Who decides the split: the participant without regard to case and spacing, else the video itself."""
        return normalised_participant(self.participant) or self.key

    @property
    def split(self) -> Split:
        """The split of every example made from this video."""
        return split_of(self.split_group)


def normalised_participant(participant: str | None) -> str:
    """`participant` as it is compared: one person written `Ana B`, `ana  b` or in full-width letters is one person."""
    return " ".join(unicodedata.normalize("NFKC", participant or "").casefold().split())


def read_manifest(lake: Lake, key: str) -> FootageManifest:
    """The manifest of `key`.

    Raises FileNotFoundError where the video was never registered in this lake, ValueError where the file is damaged.
    """
    path = lake.footage(check_video_key(key))
    try:
        return FootageManifest.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{key}: there is no footage manifest {path}. Was the partition added by hand, or is this another lake?"
        ) from error
    except ValidationError as error:
        raise ValueError(f"{key}: the footage manifest {path} is damaged: {error}") from error


def write_manifest(lake: Lake, manifest: FootageManifest) -> None:
    """Write the manifest to its place in the lake, atomically."""
    path = lake.footage(manifest.key)
    with recording(lake, path):
        write_json(path, manifest.model_dump(mode="json"))
