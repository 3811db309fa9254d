import functools
import os
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from posellm_assets.footage.live import Camera, CameraLost, Playback
from posellm_assets.footage.writing import write_timed_video
from posellm_assets_tests.clips import write_clip

FPS = 20


@pytest.fixture
def camera_file(tmp_path):
    """A named pipe, which gives a picture when somebody writes one, as a camera does."""
    os.mkfifo(tmp_path / "camera.ts")
    return tmp_path / "camera.ts"


def film(pipe, frame_count, then=None):
    """Write that many frames, each brighter than the last, at their times, and hang up; or wait for `then` first."""

    def write():
        with pipe.open("wb", buffering=0) as out, av.open(out, "w", format="mpegts") as container:
            stream = container.add_stream("mpeg4", rate=FPS)
            stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "5"}
            started = time.monotonic()
            for number in range(frame_count):
                picture = np.full((48, 64, 3), 4 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                time.sleep(max(0.0, started + (number + 1) / FPS - time.monotonic()))
            if then:
                then.wait()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_whoever_is_slow_gets_the_newest_picture_and_the_rest_is_counted_as_dropped(camera_file):
    film(camera_file, 24)
    seen, old, taken_s = [], [], -np.inf
    with Camera(str(camera_file)) as camera, pytest.raises(CameraLost, match=r"camera \S+camera.ts has gone"):
        for frame in camera.frames():
            old.append(frame.time_s < taken_s)
            taken_s = camera.now_s()
            time.sleep(0.2)
            seen.append((frame.time_s, int(frame.rgb[20, 20, 0]) / 4))
    times, numbers = np.array(seen).T
    assert times[0] == 0 and (np.diff(times) > 0.1).all()
    assert (np.diff(numbers) > 1.5).any()
    assert len(seen) + camera.dropped <= 24 and camera.dropped >= 10
    assert not any(old), "each was taken after the one before had been asked for"


def test_a_camera_that_hangs_is_not_waited_for_for_ever(camera_file):
    hung_up = threading.Event()
    writer = film(camera_file, 6, then=hung_up)
    with Camera(str(camera_file), patience_s=3) as camera:
        with pytest.raises(CameraLost, match=r"gave no picture for 3 s"):
            list(camera.frames())
        hung_up.set()
        writer.join()


def test_a_network_camera_is_read_without_opencv_and_leads_to_no_file(tmp_path, monkeypatch):
    def by_opencv(*_):
        raise AssertionError("OpenCV's OpenSSL is years old")

    monkeypatch.setattr("cv2.VideoCapture", by_opencv)
    write_clip(tmp_path / "clip.mp4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/clip.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with Camera(f"{address}/clip.mp4") as camera:
            assert next(camera.frames()).rgb.shape == (48, 64, 3)
        with pytest.raises(CameraLost, match="cannot be opened"):
            Camera(f"{address}/list.m3u8")
        server.shutdown()


def test_a_camera_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(CameraLost, match="camera 63 cannot be opened: is it plugged in"):
        Camera("63")


def test_a_file_is_played_whole_and_one_of_60_frames_a_second_in_halves(tmp_path):
    slow = Playback(write_clip(tmp_path / "slow.mp4"))
    assert [frame.time_s for frame in slow.frames()] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    time.sleep(0.05)
    assert slow.now_s() >= 0.55 and slow.dropped == 0
    picture = np.zeros((48, 64, 3), np.uint8)
    write_timed_video(tmp_path / "fast.mp4", ((number / 60, picture) for number in range(12)), 60)
    fast = Playback(tmp_path / "fast.mp4")
    assert [frame.time_s for frame in fast.frames()] == pytest.approx([number / 30 for number in range(6)], abs=1e-3)
