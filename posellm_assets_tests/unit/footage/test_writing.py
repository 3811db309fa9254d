"""Video that is written, read again."""

import numpy as np
import pytest

from posellm_assets.footage.video import frames, probe
from posellm_assets.footage.writing import write_timed_video, write_video


def moving(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Pictures in which a red bar moves over noise."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3), np.uint8)
    pictures = [noise.copy() for _ in range(count)]
    for number, picture in enumerate(pictures):
        picture[:, 4 * number : 4 * number + 8] = (220, 30, 30)
    return pictures


def test_a_video_shows_the_pictures_in_their_colours_whatever_their_layout(tmp_path):
    pictures = moving(6)
    write_video(tmp_path / "rgb.mp4", pictures, 12.5)
    write_video(tmp_path / "bgr.mp4", [picture[..., ::-1] for picture in pictures], 12.5, "bgr24")
    for name in ("rgb.mp4", "bgr.mp4"):
        shown = list(frames(tmp_path / name))
        assert [frame.time_s for frame in shown] == pytest.approx([number / 12.5 for number in range(6)])
        for number, frame in enumerate(shown):
            assert frame.rgb[:, 4 * number + 3, 0].min() > 150 and frame.rgb[:, 4 * number + 3, 2].max() < 100


@pytest.mark.parametrize("timed", [False, True])
def test_the_same_pictures_give_the_same_bytes_on_every_machine(tmp_path, timed):
    pictures = moving(12, 240, 320)  # of smaller ones x264 uses fewer threads
    for name in ("a.mp4", "b.mp4"):
        if timed:
            write_timed_video(tmp_path / name, ((number / 10, one) for number, one in enumerate(pictures)), 10)
        else:
            write_video(tmp_path / name, pictures, 10)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content == (tmp_path / "b.mp4").read_bytes()
    # What x264 writes into the file about itself. With `mbtree` one file in some thirty came out otherwise, too few for
    # a test to meet; with threads of its own choice it depends on the cores.
    assert b" mbtree=0 " in content and (b" threads=2 " if timed else b" threads=1 ") in content


def test_video_keeps_uneven_times_and_odd_sizes(tmp_path):
    path, times = tmp_path / "video.mp4", [0.0, 0.1, 0.35, 0.4]
    write_timed_video(path, ((at, np.full((49, 65, 3), 100, np.uint8)) for at in times), 10)
    assert [frame.time_s for frame in frames(path)] == pytest.approx(times, abs=1e-3)
    assert (probe(path).width, probe(path).height) == (64, 48)
    with pytest.raises(ValueError, match="no picture"):
        write_timed_video(tmp_path / "none.mp4", [], 10)
    assert list(tmp_path.glob("none*")) == []
