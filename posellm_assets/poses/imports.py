"""Landmarks of MediaPipe Pose that were found elsewhere, as poses: files of another lake, or arrays.

What an array does not say is declared in a JSON file beside it (`squat.npy.json`) or by hand. What is made up, because
there was no picture or no position in metres, is noted in the poses' parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import ConfigDict, Field

from posellm_assets.files import sha256_of
from posellm_assets.footage.capture import MAX_FPS, MAX_PEOPLE, MAX_SIDE, MIN_FPS, UnreadableCapture, probe_landmarks
from posellm_assets.footage.labels import LabelError, Labels, sidecar_of
from posellm_assets.npy import UnreadableArray, read_npy
from posellm_assets.parquet import MAX_VALUES
from posellm_assets.poses.landmarks import COUNT, HIPS, SHOULDERS
from posellm_assets.poses.poses import CHANNELS, InvalidPoses, Poses

READ_ENDINGS = (".parquet", ".npy")
Channel = Literal["x", "y", "z", "visibility", "presence", "world_x", "world_y", "world_z"]
assert get_args(Channel) == CHANNELS
_PICTURE, _WORLD = CHANNELS[:3], CHANNELS[5:]
_TRUNK_M = 0.5
_VIEW_M, _VIEW_PX = 2.4, 1000
_IN_PICTURE = (-1.0, 2.0)
_TURNED_OVER = 0.8


class UnusableLandmarks(ValueError):
    """A file that is damaged, or cannot become poses as declared; the message says what to do, without the path."""


class LandmarksDeclaration(Labels):
    """What is said about an array of landmarks and what it shows; also the form of the sidecar beside it."""

    model_config = ConfigDict(strict=False)

    channels: tuple[Channel, ...] | None = Field(default=None, description="What the last axis of the array holds")
    fps: float | None = Field(default=None, ge=MIN_FPS, le=MAX_FPS)
    width: int | None = Field(default=None, gt=0, le=MAX_SIDE, description="Of the pictures, in pixels")
    height: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    up: Literal["-y", "y"] | None = Field(default=None, description="Of positions in metres; MediaPipe's is -y")


@dataclass(frozen=True)
class ImportedPoses:
    """The poses of one clip that came in: its name (not yet fit for a path) and what is said about it."""

    name: str
    poses: Poses
    labels: Labels


def declared(**values: Any) -> LandmarksDeclaration:
    """A declaration by hand; None leaves a value undeclared. Raises LabelError naming what does not fit."""
    return LandmarksDeclaration.checked(
        {name: value for name, value in values.items() if value is not None}, "declared"
    )


def landmark_files(paths: list[Path]) -> Iterator[Path]:
    """The given files, and the files of landmarks in the given folders, in order of their names.

    Raises FileNotFoundError where a path, or a file in a folder, is missing.
    """
    for path in paths:
        inside = sorted(f for f in path.rglob("*") if f.suffix.lower() in READ_ENDINGS) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise FileNotFoundError(f"{path}: there is no file of landmarks ({', '.join(READ_ENDINGS)})")
        yield from inside


def read_landmarks(path: Path, by_hand: LandmarksDeclaration) -> ImportedPoses:
    """The poses in a file; what is declared `by_hand` wins over what the sidecar says.

    Raises ValueError naming the file and what is wrong with it, OSError where it cannot be read.
    """
    try:
        said = by_hand.over(LandmarksDeclaration.beside(path))
        if path.suffix.lower() == ".npy":
            poses = _of_array(path, said)
        elif path.suffix.lower() == ".parquet":
            poses = _of_parquet(path, said)
        else:
            raise UnusableLandmarks(
                f"landmarks come in as {', '.join(READ_ENDINGS)}; a video goes in with `posellm add`"
            )
    except InvalidPoses:
        raise
    except (UnusableLandmarks, UnreadableCapture, LabelError) as error:
        raise ValueError(f"{path}: {error}") from error
    return ImportedPoses(path.name.removesuffix(path.suffix).removesuffix(".poses"), poses, said.over(Labels()))


def _of_parquet(path: Path, said: LandmarksDeclaration) -> Poses:
    extra = said.model_dump(exclude_defaults=True, exclude=set(Labels.model_fields))
    if extra:
        raise UnusableLandmarks(
            f"a file of poses says its own {', '.join(extra)}: do not declare that, by hand or in the file beside it"
        )
    probe_landmarks(path)
    return Poses.read(path, "copy the file again, or save the landmarks as .npy")


def _of_array(path: Path, said: LandmarksDeclaration) -> Poses:
    """The poses in a `.npy` array (T, 33, C) or (T, P, 33, C) of the declared channels, NaN where nobody was seen."""
    try:
        array = read_npy(path)
    except UnreadableArray as error:
        raise UnusableLandmarks(f"{error}; save landmarks with numpy.save") from error
    channels = said.channels or (CHANNELS if array.ndim > 2 and array.shape[-1] == len(CHANNELS) else None)
    if channels is None or said.fps is None:
        raise UnusableLandmarks(
            f"an array says nothing about itself: declare channels and fps in {sidecar_of(path).name}, such as "
            '{"channels": ["x", "y", "z", "visibility"], "fps": 30, "width": 1280, "height": 720}'
        )
    if array.ndim not in (3, 4) or array.shape[-2:] != (COUNT, len(channels)) or len(set(channels)) < len(channels):
        raise UnusableLandmarks(
            f"the array is {array.shape}; with {len(channels)} channels, each once, it must be "
            f"(frames, {COUNT}, {len(channels)}) or (frames, people, {COUNT}, {len(channels)})"
        )
    people = array.shape[1] if array.ndim == 4 else 1
    if not 0 < people <= MAX_PEOPLE or len(array) * people * COUNT * len(CHANNELS) > MAX_VALUES:
        raise UnusableLandmarks(f"{len(array):,} frames of {people} people are too many, or none; cut it into clips")
    values = np.array(array, np.float32).reshape(len(array), people, COUNT, len(channels))
    found = {name: values[..., place] for place, name in enumerate(channels)}
    return _of_channels(found, said, said.fps, {"source": path.name, "sha256": sha256_of(path)})


def _of_channels(found: dict[str, np.ndarray], said: LandmarksDeclaration, fps: float, about: dict[str, Any]) -> Poses:
    """Poses of (T, P, 33) channels. What is missing of picture and metres is made of the other."""
    picture, world = (
        np.stack([found[name] for name in names], axis=-1) if set(names) <= found.keys() else None
        for names in (_PICTURE, _WORLD)
    )
    width, height = said.width, said.height
    made_up = [name for name, values in (("picture", picture), ("metres", world)) if values is None]
    if world is not None:
        world *= np.array([1, -1, -1] if said.up == "y" else [1, 1, 1], np.float32)
        _check_upright(world, said)
    if picture is not None:
        if width is None or height is None:
            raise UnusableLandmarks("declare width and height of the pictures: x and y are shares of them")
        _check_shares(picture)
    elif world is not None:  # as a camera sees it from afar
        picture, width, height = world / _VIEW_M + np.array([0.5, 0.5, 0], np.float32), _VIEW_PX, _VIEW_PX
    else:
        raise UnusableLandmarks("it needs the channels x, y, z, or world_x, world_y, world_z, or all of them")
    if world is None:
        world = _metres(picture * np.array([width, height, width], np.float32))
    visibility = found.get("visibility", np.ones(picture.shape[:3], np.float32)).copy()
    presence = found.get("presence", visibility).copy()
    at_one_place = (np.ptp(picture, axis=2) == 0).all(axis=-1)  # as many write where nobody was found
    nobody = ~np.isfinite(np.concatenate([picture, world], axis=-1)).all(axis=(2, 3)) | at_one_place
    for values in (picture, visibility, presence, world):
        values[nobody] = np.nan
    return Poses(
        time_s=np.arange(len(picture)) / fps,
        landmarks=picture,
        visibility=visibility,
        presence=presence,
        world=world.astype(np.float32),
        width=width,
        height=height,
        fps=fps,
        model_sha256="",
        parameters={**about, "channels": list(found), "made_up": made_up},
    )


def _check_shares(picture: np.ndarray) -> None:
    known = picture[..., :2][np.isfinite(picture[..., :2])]
    middle = float(np.median(known)) if len(known) else 0.5
    if not _IN_PICTURE[0] <= middle <= _IN_PICTURE[1]:
        raise UnusableLandmarks(
            f"x and y are {middle:.4g} in the middle, and must be shares of the picture's width and height, from 0 to "
            "1: divide pixels by them"
        )


def _check_upright(world: np.ndarray, said: LandmarksDeclaration) -> None:
    """Refuse what looks turned over, unless the user has said that it is so."""
    trunk_y = world[..., SHOULDERS, 1].mean(axis=-1) - world[..., HIPS, 1].mean(axis=-1)
    known = trunk_y[np.isfinite(trunk_y)]
    if said.up is None and len(known) and (known > 0).mean() > _TURNED_OVER:
        raise UnusableLandmarks(
            "the shoulders are below the hips: declare the axis that points up, y, or -y (as MediaPipe has it) where "
            "somebody stands on the head"
        )


def _metres(pixels: np.ndarray) -> np.ndarray:
    """(T, P, 33, 3) positions from the middle of the hips, so that everybody's trunk is half a metre: (T, P, 33, 3)."""
    hips, shoulders = (pixels[:, :, pair].mean(axis=2, keepdims=True) for pair in (HIPS, SHOULDERS))
    trunk = np.linalg.norm(shoulders - hips, axis=-1)
    known = np.isfinite(trunk) & (trunk > 0)
    if not known.any():
        raise UnusableLandmarks("nobody is in any frame")
    return (pixels - hips) * (_TRUNK_M / np.percentile(trunk[known], 75))
