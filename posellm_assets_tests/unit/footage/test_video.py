"""Reading footage: real files of every awkward kind, written here with PyAV."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from posellm_assets.footage.video import UnreadableVideo, frames, probe

RED, GREEN, BLUE, GREY = (200, 30, 40), (30, 180, 60), (40, 60, 210), (128, 128, 128)


def quarters(width: int = 64, height: int = 48) -> np.ndarray:
    """Red, green / blue, grey: shows at once whether a picture was turned, mirrored or miscoloured."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, GREY
    return picture


def corners(rgb: np.ndarray) -> np.ndarray:
    """The colours in the middles of the four quarters, row by row."""
    height, width = rgb.shape[:2]
    return np.array([rgb[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)], int)


def write(
    path: Path,
    pictures: list[np.ndarray],
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    **options: str,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = pts[number] if pts else number
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def clip(path: Path, count: int = 50, **options: str) -> Path:
    noise = np.random.default_rng(0)
    pictures = [quarters() // 2 + noise.integers(0, 60, (48, 64, 3), np.uint8) for _ in range(count)]
    return write(path, pictures, **options)


def turned(path: Path, degrees_clockwise: int) -> Path:
    """Set the rotation in an MP4's track header, as a phone does."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees_clockwise]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(">9i", content, matrix, cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def test_a_plain_clip_is_described_as_it_is(tmp_path: Path) -> None:
    info = probe(clip(tmp_path / "plain.mp4"))
    assert (info.width, info.height, info.frame_count, info.rotation_deg) == (64, 48, 50, 0)
    assert info.fps == pytest.approx(25)
    assert info.duration_s == pytest.approx(2.0)
    assert (info.codec, info.pixel_format, info.variable_frame_rate) == ("h264", "yuv420p", False)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_a_phone_held_sideways_gives_upright_frames(tmp_path: Path, clockwise: int) -> None:
    path = turned(write(tmp_path / "phone.mp4", [quarters()] * 5), clockwise)
    info = probe(path)
    shown = [frame.rgb for frame in frames(path)]
    expected = np.rot90(quarters(), -clockwise // 90)
    assert (info.width, info.height) == expected.shape[1::-1]
    assert info.rotation_deg == (360 - clockwise) % 360
    assert shown[0].shape == expected.shape
    assert shown[0].flags.c_contiguous
    assert np.abs(corners(shown[0]) - corners(expected)).max() <= 12


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mp4", "libx264", "yuv420p10le"),
        ("a.mp4", "libx264", "yuvj420p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.mkv", "ffv1", "yuv422p16le"),
        ("a.avi", "mjpeg", "yuvj422p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mkv", "libx264rgb", "rgb24"),
    ],
)
def test_colours_survive_every_pixel_format(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    path = write(tmp_path / name, [quarters()] * 4, codec, pixel_format)
    assert probe(path).frame_count == 4
    for frame in frames(path):
        assert np.abs(corners(frame.rgb) - corners(quarters())).max() <= 12


def test_grey_footage_becomes_grey_rgb(tmp_path: Path) -> None:
    path = write(tmp_path / "grey.mkv", [quarters()] * 3, "ffv1", "gray")
    rgb = next(frames(path)).rgb
    assert rgb.shape == (48, 64, 3)
    assert (rgb.max(axis=-1).astype(int) - rgb.min(axis=-1) <= 2).all()
    assert rgb[40, 60, 0] == pytest.approx(128, abs=4)


@pytest.mark.parametrize("size", [(63, 47), (50, 34), (17, 9)])
def test_odd_sizes_are_not_sheared(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    path = write(tmp_path / "odd.mkv", [picture] * 3, "ffv1", "bgr0")
    rgb = next(frames(path)).rgb
    assert rgb.flags.c_contiguous
    assert np.array_equal(rgb, picture)


def test_pixels_that_are_not_square_are_stretched_to_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(quarters(), format="rgb24")))
        container.mux(stream.encode())
    assert (probe(path).width, probe(path).height) == (85, 48)
    assert next(frames(path)).rgb.shape == (48, 85, 3)


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0, 33, 66, 200, 233, 600, 633, 1000]
    path = write(tmp_path / "vfr.mkv", [quarters()] * 8, pts=stamps, time_base=Fraction(1, 1000))
    info = probe(path)
    assert info.variable_frame_rate
    assert info.fps == pytest.approx(7.0)
    assert [frame.time_s for frame in frames(path)] == pytest.approx([stamp / 1000 for stamp in stamps], abs=1e-6)


def test_millisecond_rounding_is_not_a_variable_frame_rate(tmp_path: Path) -> None:
    stamps = [round(number * 1000 / 60) for number in range(30)]
    path = write(tmp_path / "sixty.mkv", [quarters()] * 30, pts=stamps, time_base=Fraction(1, 1000))
    assert not probe(path).variable_frame_rate


@pytest.mark.parametrize("name", ["b.mp4", "b.avi", "b.mkv", "b.ts"])
def test_times_increase_from_zero_with_reordered_frames(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, 40, bf="3", g="20")
    times = [frame.time_s for frame in frames(path)]
    assert times == pytest.approx([number / 25 for number in range(40)], abs=1e-3)


@pytest.mark.parametrize("name", ["part.mp4", "part.avi", "part.mkv"])
def test_a_part_of_a_clip_holds_exactly_its_frames(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, 60, g="25", bf="2")
    whole = {round(frame.time_s * 25): frame.rgb for frame in frames(path)}
    part = {round(frame.time_s * 25): frame.rgb for frame in frames(path, 0.999, 1.999)}
    assert list(part) == list(range(25, 50))
    assert all(np.array_equal(rgb, whole[number]) for number, rgb in part.items())


def test_a_text_named_mp4_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("../somewhere/else.mp4\n")
    with pytest.raises(UnreadableVideo, match="not a video"):
        probe(tmp_path / "notes.mp4")


def test_a_playlist_named_mp4_opens_nothing_else(tmp_path: Path) -> None:
    other = clip(tmp_path / "other.ts", 10)
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnreadableVideo):
        probe(tmp_path / "list.mp4")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UnreadableVideo, match="empty"):
        probe(tmp_path / "empty.mp4")


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(UnreadableVideo, match="no video stream"):
        probe(path)


def test_a_single_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match="single frame"):
        probe(write(tmp_path / "photo.mp4", [quarters()]))


def test_frames_that_all_have_one_time_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "still.mkv", [quarters()] * 3, "mjpeg", "yuvj420p", [0, 1, 2], Fraction(1, 1_000_000))
    with pytest.raises(UnreadableVideo, match="0 frames per second"):
        probe(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("start", ["", "+faststart"])
def test_a_truncated_mp4_is_refused(tmp_path: Path, share: float, start: str) -> None:
    path = tmp_path / "cut.mp4"
    whole = clip(tmp_path / "whole.mp4", 100)
    if start:  # the index in front of the pictures, as for the web: the file still opens when its end is missing
        with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": start}) as target:
            copy = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
        whole = path
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableVideo):
        probe(path)


def test_a_matroska_file_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    content = clip(tmp_path / "whole.mkv", 150, g="25").read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableVideo, match="cut short"):
        probe(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "gone.mp4")


def test_names_that_look_like_protocols_and_options_are_names(tmp_path: Path) -> None:
    for name in ("http:clip.mp4", "-i.mp4", "50%03d 'serve' ünï ☀.mp4"):
        assert probe(clip(tmp_path / "plain.mp4", 5).rename(tmp_path / name)).frame_count == 5


def test_a_selfie_declared_as_mirrored_is_mirrored_back(tmp_path: Path) -> None:
    path = write(tmp_path / "selfie.mp4", [quarters()[:, ::-1]] * 5)
    (tmp_path / "selfie.mp4.json").write_text('{"mirrored": true}')
    assert np.abs(corners(next(frames(path)).rgb) - corners(quarters())).max() <= 12


def test_a_sidecar_that_cannot_be_used_is_not_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "selfie.mp4", [quarters()] * 5)
    (tmp_path / "selfie.mp4.json").write_text('{"mirrored": "perhaps"}')
    with pytest.raises(UnreadableVideo, match=r"selfie\.mp4\.json: mirrored"):
        next(frames(path))


def test_pictures_larger_than_8k_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "large.mkv", [np.zeros((9000, 4000, 3), np.uint8)] * 2, "ffv1", "gray")
    with pytest.raises(UnreadableVideo, match="8K"):
        probe(path)


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match="this is a folder"):
        probe(tmp_path)
