"""The model bundles for pose extraction: fetched once, checked by sha256, kept in a cache folder.

The two networks come from MediaPipe's own storage; where that is out of reach, from the official MediaPipe wheel on the
package index that pip is configured for. Both ways give the same bundle to the byte.
"""

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from posellm_assets.files import sha256_of, write_bytes

_STORAGE = "https://storage.googleapis.com/mediapipe-assets"
_TIMEOUT_S = 5
# The last wheel that holds the networks. They are data: the same in the wheel of every platform.
_WHEEL = "mediapipe==0.10.21"
_WHEEL_TAGS = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64", "--only-binary", ":all:")
_FETCH_FAULTS = (OSError, http.client.HTTPException, subprocess.SubprocessError, zipfile.BadZipFile, KeyError)
SOURCE = f"MediaPipe's storage, or {_WHEEL} on the package index (Apache-2.0)"


class ModelUnavailable(RuntimeError):
    """A model bundle that is not in the cache and cannot be fetched or built."""


@dataclass(frozen=True)
class _Network:
    address: str
    in_wheel: str
    sha256: str


# The sha256s are those that MediaPipe's own build lists for these generations.
_DETECTOR = _Network(
    f"{_STORAGE}/pose_detection.tflite?generation=1678737489600422",
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
_LANDMARKS = _Network(
    f"{_STORAGE}/pose_landmark_full.tflite?generation=1661875894245786",
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)


@dataclass(frozen=True)
class Model:
    """A model bundle: what it is, where it lies, and whether it is there and whole."""

    name: str
    description: str
    path: Path
    sha256: str
    masks: bool
    source: str = SOURCE

    @property
    def present(self) -> bool:
        """Whether the file is in the cache with the right content."""
        return self.path.is_file() and sha256_of(self.path) == self.sha256

    @property
    def size_bytes(self) -> int:
        """The size of the file, 0 where it is absent."""
        return self.path.stat().st_size if self.path.is_file() else 0


def cache_folder() -> Path:
    """`$POSELLM_CACHE`, else `posellm` in the user's cache folder; models lie in `models/` under it."""
    if chosen := os.environ.get("POSELLM_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posellm"


def available_models() -> list[Model]:
    """All model bundles that `PoseConfig.network` can name, present or not."""
    folder = cache_folder() / "models"
    return [
        Model(
            "full",
            "33 landmarks, MediaPipe's full network without the mask decoder (same landmarks, faster)",
            folder / "pose_landmarker_full.task",
            "37d9ccdb2267e2e348f8973e8afe1d108d72d0f924b35b63b90ca4cc68872fbb",
            masks=False,
        ),
        Model(
            "full-with-masks",
            "33 landmarks, MediaPipe's full network as published",
            folder / "pose_landmarker_full_with_masks.task",
            "48f9c905ba8cad2c477a2a41470608e42cd80df9fd6c6bcf4eda165dd0379336",
            masks=True,
        ),
    ]


def model_named(name: str) -> Model:
    """The model bundle of that name, present or not; ValueError where there is none."""
    models = {model.name: model for model in available_models()}
    if name not in models:
        raise ValueError(f"there is no pose model {name!r}; choose one of {', '.join(models)}")
    return models[name]


def ensure_model(name: str) -> Model:
    """The model bundle of that name, fetched or built first where it is not in the cache.

    Several processes may do so at once: each writes the whole file under another name and renames it.

    Raises:
        ModelUnavailable: neither source can be reached, or what they give is not the known content.
    """
    model = model_named(name)
    if model.present:
        return model
    from posellm_assets.poses.bundle import build_bundle  # loads MediaPipe

    detector, landmarks = _networks()
    bundle = build_bundle(detector, landmarks, model.masks)
    _checked(bundle, model.sha256, f"the bundle {name!r} built from them")
    write_bytes(model.path, bundle)
    return model


def _networks() -> tuple[bytes, bytes]:
    """(detector, landmark network) from the first source that gives them."""
    faults = []
    for source, fetch in (("MediaPipe's storage", _from_storage), (f"the package index ({_WHEEL})", _from_wheel)):
        try:
            return fetch()
        except (*_FETCH_FAULTS, ModelUnavailable) as error:
            faults.append(f"{source}: {error}")
    raise ModelUnavailable(
        "the pose model is not in the cache and cannot be fetched: "
        + "; ".join(faults)
        + f". Connect to the internet or to a package index once, or copy the file {available_models()[0].path.name} "
        f"from another machine to {cache_folder() / 'models'}"
    )


def _from_storage() -> tuple[bytes, bytes]:
    def fetch(network: _Network) -> bytes:
        with urllib.request.urlopen(network.address, timeout=_TIMEOUT_S) as response:
            return _checked(response.read(), network.sha256, network.address)

    return fetch(_DETECTOR), fetch(_LANDMARKS)


def _from_wheel() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *_WHEEL_TAGS]
        done = subprocess.run([*command, _WHEEL], capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ModelUnavailable(f"pip download failed ({reason})")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            detector, landmarks = (
                _checked(archive.read(network.in_wheel), network.sha256, f"{network.in_wheel} of {wheel.name}")
                for network in (_DETECTOR, _LANDMARKS)
            )
    return detector, landmarks


def _checked(content: bytes, sha256: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelUnavailable(f"{what} has the sha256 {found[:12]}..., not the known {sha256[:12]}...: it is refused")
    return content
