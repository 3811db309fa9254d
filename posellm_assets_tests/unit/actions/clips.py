"""Small real clips of a square that moves one way or another, sorted as users sort theirs."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from posellm_assets.files import write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.snapshots import Snapshot, SnapshotVideo
from posellm_assets.lake import Lake

Item = TypeVar("Item")
Result = TypeVar("Result")
PEOPLE = [0, 1, 2, 3, 4, 5, 22, 26, 7, 14, 6, 8]
"""Numbers of participants: of the first ten, six are in train, two in val and two in test."""
WAYS = {"up": (0, -3), "down": (0, 3), "left": (-3, 0), "right": (3, 0)}


def write_square(path: Path, way: str, seed: int, frame_count: int = 8) -> Path:
    """An MP4, 64 x 48 at 8 fps, of a bright square that starts near the middle and goes `way`."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    place, step = np.array([24, 16]) + rng.integers(-4, 5, 2), np.array(WAYS[way])
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frame_count):
            picture = np.full((48, 64, 3), 40, np.uint8)
            x, y = np.clip(place + (number - frame_count // 2) * step, 0, (48, 32))
            picture[y : y + 16, x : x + 16] = rng.integers(180, 255, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_tree(root: Path, clips_per_class: int = 6) -> Path:
    """A folder for each way; every clip's participant is in its sidecar, the same for one clip of each class."""
    for label in WAYS:
        for number in PEOPLE[:clips_per_class]:
            path = write_square(root / label / f"clip {number}.mp4", label, 10 * number)
            write_json(path.with_name(path.name + ".json"), {"participant": f"person {number}"})
    return root


def freeze(lake: Lake, snapshot: str, keys: Iterable[str]) -> None:
    """Write a snapshot of these videos, as far as the actions room reads it."""
    versions = {"captions_sha256": "", "motion_sha256": "", "tokens_sha256": ""}
    manifests = [read_manifest(lake, key) for key in keys]
    frozen = [
        SnapshotVideo(key=one.key, sport=one.sport, label=one.label, participant=None, split=one.split, **versions)
        for one in manifests
    ]
    about = {"created_at": "", "lineage": "vq", "parent": None, "settings": {}, "code_version": ""}
    write_json(lake.snapshot(snapshot), Snapshot(snapshot=snapshot, scope="all", videos=frozen, **about).model_dump())


class InProcess:
    """A pool that works in this process, for work that needs no other."""

    workers = 1

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        for item in items:
            try:
                yield item, fn(item)
            except Exception as error:  # noqa: BLE001 - a pool hands back whatever was raised
                yield item, error
