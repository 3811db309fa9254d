"""Frames as they come, each with one clock: those of a camera, the newest only, or those of a file, all of them.

A camera's picture that was not looked at in time is dropped and counted, never queued.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np

from posellm_assets.footage.containers import MAX_PIXELS
from posellm_assets.footage.video import Frame, frames, probe

PATIENCE_S = 10.0
# What an address may lead to, whatever the camera answers: never a file of this machine.
_NETWORK = "http,https,httpproxy,rtmp,rtmps,rtp,rtsp,srtp,tcp,tls,udp"
# Pictures are shown when they come: nothing is kept back to order or to measure the stream.
_AT_ONCE = {"fflags": "nobuffer", "flags": "low_delay", "fpsprobesize": "0", "rtsp_transport": "tcp"}
# More frames a second tell a coach nothing: of 60 every second one is taken, of 30 or fewer all.
_MOST_FPS = 30.0


class CameraLost(RuntimeError):
    """A camera that cannot be opened, or gives no more pictures. The message is for the user."""


class FrameSource(Protocol):
    """Where frames come from. `dropped` frames came and were never looked at."""

    dropped: int

    def frames(self) -> Iterator[Frame]:
        """The frames, in the order of time."""
        ...

    def now_s(self) -> float:
        """The time on the clock that the frames have: how late it is since the first one came."""
        ...


class Newest:
    """The picture that came last. A frame's time is when it came, in seconds after the first."""

    def __init__(self, device: str, patience_s: float = PATIENCE_S):
        self.device, self.patience_s, self.dropped = device, patience_s, 0
        self._first_s: float | None = None
        self._newest: tuple[float, Callable[[], np.ndarray]] | None = None
        self._gone = self._ended = False
        self._changed = threading.Condition()

    def put(self, picture: Callable[[], np.ndarray]) -> None:
        """Take in what makes a picture (H, W, 3) uint8 RGB, in the place of one that nobody has asked for yet."""
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = time.monotonic(), picture
            self._changed.notify()

    def end(self) -> None:
        """There will be no more pictures, as somebody wishes."""
        with self._changed:
            self._gone = self._ended = True
            self._changed.notify()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest picture each time that one is asked for, waiting where it was given already.

        Raises CameraLost where the camera has gone, or gives nothing for `patience_s` seconds.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._gone, self.patience_s)
                newest, self._newest = self._newest, None
            if self._ended:
                return
            if newest is None:
                how = "has gone" if self._gone else f"gave no picture for {self.patience_s:g} s"
                raise CameraLost(f"camera {self.device} {how}: look after its cable or its network, then start again")
            self._first_s = newest[0] if self._first_s is None else self._first_s
            yield Frame(newest[0] - self._first_s, newest[1]())

    def now_s(self) -> float:
        """Seconds since the first picture arrived; 0 before."""
        return 0.0 if self._first_s is None else time.monotonic() - self._first_s


class Camera(Newest):
    """A camera that is open; use it as a context manager.

    `device` is a number (0 is the first camera), a device file, or the address of a network camera.
    """

    def __init__(self, device: str, patience_s: float = PATIENCE_S):
        """Open the camera. Raises CameraLost where that fails."""
        super().__init__(device, patience_s)
        self._is_open = False
        # Drivers can hang in opening and in reading. A daemon does not keep the program alive then.
        threading.Thread(target=self._read, daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._gone, patience_s)
        if not self._is_open:
            self._gone = True
            raise CameraLost(
                f"camera {device} cannot be opened: is it plugged in, and does no other program use it? The first "
                "camera has number 0"
            )

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self._gone = True

    def _read(self) -> None:
        is_device = self.device.isdecimal() or Path(self.device).is_char_device()
        try:
            with closing(self._of_a_device() if is_device else self._of_a_stream()) as pictures:
                for picture in pictures:
                    self._is_open = True
                    self.put(picture)
                    if self._gone:
                        break
        except (av.FFmpegError, OSError, ValueError):
            pass  # said by whoever waits for a picture
        with self._changed:
            self._gone = True
            self._changed.notify()

    def _of_a_device(self) -> Generator[Callable[[], np.ndarray], None, None]:
        """The pictures of a camera at this machine, which OpenCV knows best."""
        # OpenCV otherwise tells of each of its drivers that does not know the camera.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        capture = cv2.VideoCapture(int(self.device) if self.device.isdecimal() else self.device, cv2.CAP_ANY)
        try:
            while not self._gone:
                read, bgr = capture.read()
                if not read:
                    return
                yield lambda bgr=bgr: np.ascontiguousarray(bgr[..., ::-1])  # type: ignore[misc]
        finally:
            capture.release()

    def _of_a_stream(self) -> Generator[Callable[[], np.ndarray], None, None]:
        """The pictures of a network camera, or of what writes a stream into a pipe.

        Not by OpenCV: the OpenSSL in its wheels is years old. Raises FFmpegError where the stream breaks off.
        """
        options = {**_AT_ONCE, "protocol_whitelist": _NETWORK if "://" in self.device else "file,pipe"}
        # The patience of whoever waits for a picture ends first.
        timeout_s = 2 * self.patience_s
        with av.open(self.device, options=options, timeout=timeout_s, metadata_errors="replace") as container:
            if not container.streams.video:
                return
            container.streams.video[0].thread_type = "SLICE"  # threads by frame keep as many frames back
            for frame in container.decode(video=0):
                if frame.width * frame.height > MAX_PIXELS:
                    return
                yield lambda frame=frame: frame.to_ndarray(format="rgb24")  # type: ignore[misc]


class Playback:
    """A video file as if it was filmed now, as fast as its frames are asked for.

    On its clock every frame arrives on time: what passes until the next one is asked for comes on top.
    """

    def __init__(self, video: Path):
        """Raises UnreadableVideo or OSError where the file is no video."""
        self.video, self.info, self.dropped = video, probe(video), 0
        self._shown_s, self._given_s = 0.0, time.monotonic()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, at most about 30 for each second of the video."""
        last_s = -1.0
        for frame in frames(self.video):
            if frame.time_s - last_s < 0.8 / _MOST_FPS:
                continue
            last_s = self._shown_s = frame.time_s
            self._given_s = time.monotonic()
            yield frame

    def now_s(self) -> float:
        """The time of the frame that was given last, and what has passed since."""
        return self._shown_s + time.monotonic() - self._given_s
