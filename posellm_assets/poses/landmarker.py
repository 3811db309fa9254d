"""MediaPipe's pose landmarker, with its traps handled: the only module that runs MediaPipe.

Results are read as arrays straight from MediaPipe's C structures: building its Python objects costs as much as
conversion of the picture. That uses names with a leading underscore of MediaPipe 1.2, to which the project is pinned.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
from mediapipe import Image, ImageFormat
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.components.containers.landmark_c import MpLandmarkC
from mediapipe.tasks.python.vision import RunningMode
from mediapipe.tasks.python.vision.pose_landmarker import (
    MpPoseLandmarkerResultC,
    PoseLandmarker,
    PoseLandmarkerOptions,
)

from posellm_assets.poses.landmarks import COUNT
from posellm_assets.poses.poses import CHANNELS

_Self = TypeVar("_Self", bound="_Landmarker")
_NOBODY = np.zeros((64, 64, 3), np.uint8)
_LANDMARK = np.dtype(
    {
        "names": ["x", "y", "z", "visibility", "presence"],
        "formats": [np.float32] * 5,
        "offsets": [getattr(MpLandmarkC, name).offset for name in ("x", "y", "z", "visibility", "presence")],
        "itemsize": ctypes.sizeof(MpLandmarkC),
    }
)


class _Landmarker:
    """A landmarker of MediaPipe Tasks; use it as a context manager, since only closing frees its memory."""

    _mode: RunningMode

    def __init__(self, model: Path, people: int, min_confidence: float):
        options = PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            running_mode=self._mode,
            num_poses=people,
            min_pose_detection_confidence=min_confidence,
            min_pose_presence_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
        )
        self._warned = False
        with _quiet():
            self._landmarker = PoseLandmarker.create_from_options(options)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the landmarker; it cannot be used again."""
        self._landmarker.close()

    def forget(self) -> None:
        """Leave the landmarker to the end of the process, when MediaPipe can no longer close it without a complaint."""
        self._landmarker._handle = None

    def _call(self, function: str, rgb: np.ndarray, *time_ms: int) -> np.ndarray:
        # MediaPipe ignores strides: anything but contiguous rows would arrive scrambled, without an error.
        image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        result = MpPoseLandmarkerResultC()
        detect = getattr(self._landmarker._lib, function)
        # The first person that is found draws another warning.
        with nullcontext() if self._warned else _quiet():
            detect(self._landmarker._handle, image._image_ptr, None, *time_ms, ctypes.byref(result))
        found = self._read(result)
        self._warned = self._warned or len(found) > 0
        return found

    def _read(self, result: MpPoseLandmarkerResultC) -> np.ndarray:
        found = np.empty((result.pose_landmarks_count, COUNT, len(CHANNELS)), np.float32)
        for person in range(result.pose_landmarks_count):
            image = _landmarks_at(result.pose_landmarks[person].landmarks)
            world = _landmarks_at(result.pose_world_landmarks[person].landmarks)
            for channel, name in enumerate(("x", "y", "z", "visibility", "presence")):
                found[person, :, channel] = image[name]
            for channel, name in enumerate("xyz", start=5):
                found[person, :, channel] = world[name]
        self._landmarker._lib.MpPoseLandmarkerCloseResult(ctypes.byref(result))
        return found


class VideoLandmarker(_Landmarker):
    """Follows people through the frames of one clip. Open a new one for every clip.

    With `people=1` MediaPipe smooths the landmarks (One-Euro), with more it does not.
    """

    _mode = RunningMode.VIDEO

    def __init__(self, model: Path, people: int, min_confidence: float):
        super().__init__(model, people, min_confidence)
        self._last_ms = -1

    def landmarks(self, rgb: np.ndarray, time_s: float) -> np.ndarray:
        """(people found, 33, 8) float32, channels as in `poses.CHANNELS`, of a frame later than the ones before."""
        # MediaPipe refuses a time twice; above 1000 fps two frames fall into one millisecond.
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000))
        return self._call("MpPoseLandmarkerDetectForVideo", rgb, self._last_ms)

    def look_anew(self) -> None:
        """Forget whom it follows, as after a cut: it looks at a black picture, in which there is nobody to go on with.

        Closing it and opening another would do the same, and leaks 6 MB each time.
        """
        self._last_ms += 1
        self._call("MpPoseLandmarkerDetectForVideo", _NOBODY, self._last_ms)


class ImageLandmarker(_Landmarker):
    """Looks at single pictures and remembers nothing."""

    _mode = RunningMode.IMAGE

    def landmarks(self, rgb: np.ndarray) -> np.ndarray:
        """(people found, 33, 8) float32, channels as in `poses.CHANNELS`."""
        return self._call("MpPoseLandmarkerDetectImage", rgb)


def _landmarks_at(pointer: ctypes._Pointer) -> np.ndarray:
    memory = (ctypes.c_char * (COUNT * _LANDMARK.itemsize)).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(memoryview(memory), _LANDMARK)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code writes to standard error to itself, unless it fails: no variable or flag silences it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured:
        kept = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(kept, captured.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
