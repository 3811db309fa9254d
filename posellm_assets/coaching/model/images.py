"""Folders of pictures of people exercising: which activity each shows, whether one whole person is seen, once each.

What a folder shows is declared, in `activities.yaml` beside the folders, and never taken from its name: downloads hold
`train`, `test` and `images`, and splits that others made.

    folders:
      squats/train: squat
      studio-b: {activity: lunge, source: studio-b}     # everything of one source is in one split
    source: "^([a-z]+)_"          # or: a regular expression whose first group finds it in the name of a file
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field, ValidationError, field_validator

from posellm_assets.coaching.model.config import ImagesConfig
from posellm_assets.coaching.model.near_duplicates import first_alike, picture_hash
from posellm_assets.pool import Pool, shares
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.landmarks import PAIRS
from posellm_assets.records import Record
from posellm_assets.yaml_files import explained, read_yaml

ACTIVITIES = "activities.yaml"
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""What a picture may be, whatever its name says: for PostScript Pillow would start another program."""
MAX_PIXELS = 64_000_000
WIDE = 1.1
BODY = tuple(landmark for pair in PAIRS for landmark in pair)


class UnusableImages(ValueError):
    """A folder of which no data set can be made; the message says what to do."""


class Declared(Record):
    """What the pictures of a folder show, and who or what they all come from, where that is one."""

    activity: str = Field(min_length=1)
    source: str | None = None


class Mapping(Record):
    """The content of `activities.yaml`."""

    folders: dict[str, Declared] = Field(min_length=1)
    source: re.Pattern[str] | None = None

    @field_validator("folders", mode="before")
    @classmethod
    def _short_form(cls, folders: Any) -> Any:
        if not isinstance(folders, dict):
            return folders
        return {
            str(PurePosixPath(str(folder))): {"activity": said} if isinstance(said, str) else said
            for folder, said in folders.items()
        }

    @field_validator("source")
    @classmethod
    def _has_a_group(cls, source: re.Pattern[str] | None) -> re.Pattern[str] | None:
        if source is not None and source.groups < 1:
            raise ValueError("put what names the participant or source into brackets")
        return source

    def declared(self, folder: PurePosixPath) -> Declared | None:
        """What is said of a folder, or of the nearest one around it."""
        return next((self.folders[str(one)] for one in (folder, *folder.parents) if str(one) in self.folders), None)


@dataclass(frozen=True)
class Picture:
    """A file and what is declared of it; `name` is its path below the root, `source` who or what it comes from."""

    path: Path
    name: str
    activity: str
    source: str | None


@dataclass(frozen=True)
class SeenPicture:
    """A picture of one person: landmarks (33, 8) as in `poses.CHANNELS`, size in pixels, perceptual hash."""

    picture: Picture
    landmarks: np.ndarray
    width: int
    height: int
    hash: np.ndarray


@dataclass(frozen=True)
class LeftOut:
    """Something that is not in the data set, and why."""

    what: str
    reason: str


def read_mapping(root: Path) -> Mapping:
    """What `activities.yaml` in `root` declares. Raises UnusableImages where there is none, or it is wrong."""
    path = root / ACTIVITIES
    if not path.is_file():
        raise UnusableImages(
            f"{root} has no {ACTIVITIES}; write one that says what each folder shows: folders: {{...}}"
        )
    try:
        file = read_yaml(path.read_bytes(), str(path))
        return Mapping.model_validate(file.content or {})
    except ValidationError as error:
        raise UnusableImages(explained(error, Mapping, file)) from error
    except ValueError as error:
        raise UnusableImages(str(error)) from error


def find_pictures(root: Path) -> tuple[list[Picture], list[LeftOut]]:
    """The pictures below `root` in the order of their names, and the folders that are not declared.

    Links are not followed. Raises UnusableImages as `read_mapping` does.
    """
    mapping = read_mapping(root)
    pictures, left_out = [], []
    for folder in sorted({path.parent for path in _files(root)}):
        inside = PurePosixPath(folder.relative_to(root).as_posix())
        declared = mapping.declared(inside)
        if declared is None:
            left_out.append(LeftOut(str(inside), f"the folder is not declared in {ACTIVITIES}: say what it shows"))
            continue
        for path in sorted(path for path in _files(root) if path.parent == folder):
            found = mapping.source.search(path.name) if mapping.source else None
            source = declared.source or (found[1] if found else None)
            pictures.append(Picture(path, path.relative_to(root).as_posix(), declared.activity, source))
    return pictures, left_out


def see_people(
    pictures: Sequence[Picture], config: ImagesConfig, poses: PoseConfig, pool: Pool
) -> tuple[list[SeenPicture], list[LeftOut]]:
    """Pictures of exactly one person of whom enough is visible, without near-duplicates, in the given order."""
    found: dict[str, SeenPicture | LeftOut] = {}
    for part, outcome in pool.map(partial(_look, config=config, poses=poses), shares(pictures, 4 * pool.workers)):
        if isinstance(outcome, Exception):
            raise outcome
        found.update({picture.name: one for picture, one in zip(part, outcome, strict=True)})
    ordered = [found[picture.name] for picture in pictures]
    seen = [one for one in ordered if isinstance(one, SeenPicture)]
    left_out = [one for one in ordered if isinstance(one, LeftOut)]
    kept = []
    for one, first in zip(seen, first_alike([one.hash for one in seen]), strict=True):
        if first is None:
            kept.append(one)
        else:
            left_out.append(LeftOut(one.picture.name, f"near-duplicate of {seen[first].picture.name}"))
    return kept, left_out


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as the camera says. Raises OSError or ValueError where it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}; make it smaller")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (Image.DecompressionBombError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise ValueError(str(error)) from error


def _look(pictures: Sequence[Picture], config: ImagesConfig, poses: PoseConfig) -> list[SeenPicture | LeftOut]:
    from posellm_assets.poses.landmarker import ImageLandmarker
    from posellm_assets.poses.models import ensure_model

    model = ensure_model(poses.network)
    with ImageLandmarker(model.path, max(2, poses.max_people), poses.min_confidence) as landmarker:
        return [_see(picture, landmarker, config) for picture in pictures]


def _see(picture: Picture, landmarker: Any, config: ImagesConfig) -> SeenPicture | LeftOut:
    try:
        rgb = read_picture(picture.path)
    except UnidentifiedImageError:
        return LeftOut(picture.name, "it is no picture that can be read")
    except (OSError, ValueError) as error:
        return LeftOut(picture.name, f"it cannot be read: {error}")
    people = _people(rgb, landmarker)
    if len(people) != 1:
        return LeftOut(picture.name, f"{len(people)} people are found in it, not one")
    person = people[0]
    inside = ((person[:, :2] >= 0) & (person[:, :2] <= 1)).all(1)
    visible = int(((person[:, 3] >= config.min_visibility) & inside)[list(BODY)].sum())
    if visible < config.min_visible_joints:
        return LeftOut(
            picture.name,
            f"{visible} of {len(BODY)} joints are visible, of {config.min_visible_joints} that are asked for",
        )
    return SeenPicture(picture, person, rgb.shape[1], rgb.shape[0], picture_hash(rgb))


def _people(rgb: np.ndarray, landmarker: Any) -> list[np.ndarray]:
    """Everybody in a picture, (33, 8) each.

    The detector sees a small square and misses people in wide pictures: the squares at both ends are looked at as well.
    Whom it finds there counts where they are half a body away from everybody else.
    """
    height, width = rgb.shape[:2]
    side = min(height, width)
    people = list(landmarker.landmarks(rgb))
    for left, top in {(0, 0), (width - side, height - side)} if max(height, width) > WIDE * side else ():
        for person in landmarker.landmarks(np.ascontiguousarray(rgb[top : top + side, left : left + side])):
            person[:, :2] = (person[:, :2] * side + (left, top)) / (width, height)
            if all(_apart(_pixels(person, rgb), _pixels(other, rgb)) for other in people):
                people.append(person)
    return people


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two bodies, (12, 2) px each, are farther apart than half of the larger one is long, lying or standing."""
    longest_px = max(np.ptp(one, axis=0).max(), np.ptp(other, axis=0).max())
    return bool(np.linalg.norm(one.mean(0) - other.mean(0)) > longest_px / 2)


def _pixels(person: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """(12, 2) px: where the joints of a body are."""
    return person[list(BODY), :2] * (rgb.shape[1], rgb.shape[0])


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in ENDINGS and not hidden and path.is_file() and not path.is_symlink():
            yield path
