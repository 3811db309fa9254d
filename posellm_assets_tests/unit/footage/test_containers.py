"""The kinds of `test_cases` in other containers, made here."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from posellm_assets.footage.video import UnreadableVideo, frames, probe
from posellm_assets.footage.writing import write_timed_video
from posellm_assets_tests.unit.footage.reading import check_pieces

FPS = 25
TICK_S = Fraction(1, FPS)


def pictures(count: int) -> list[np.ndarray]:
    """Pictures that differ, so that one cannot pass for another."""
    noise = np.random.default_rng(0).integers(0, 120, (48, 64, 3), np.uint8)
    return [np.roll(noise, number, axis=1) + np.uint8(number % 100) for number in range(count)]


def encoded(
    path: Path,
    codec: str = "libx264",
    muxer: str | None = None,
    ticks: list[int] | None = None,
    tick_s: Fraction = TICK_S,
    movflags: str = "",
    count: int = 120,
    **options: str,
) -> Path:
    with av.open(str(path), "w", format=muxer, options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.codec_context.time_base = tick_s
        for number, picture in enumerate(pictures(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = ticks[number] if ticks else number, tick_s
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


B_FRAMES = {"bf": "3", "g": "40"}
MPEG2 = {"codec": "mpeg2video", "bf": "2", "g": "15"}
HIDDEN = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "40"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b.ts", B_FRAMES),
        ("b.mts", {"muxer": "mpegts", **B_FRAMES}),
        ("b.m2ts", {"muxer": "mpegts", "mpegts_m2ts_mode": "1", **B_FRAMES}),
        ("b.avi", B_FRAMES),
        ("b.flv", B_FRAMES),
        ("b.nut", B_FRAMES),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov", **B_FRAMES}),
        ("mpeg2.ts", MPEG2),
        ("mpeg2.mpg", {"muxer": "mpeg", **MPEG2}),
        ("mpeg2.vob", MPEG2),
        ("mpeg1.mpg", {"codec": "mpeg1video", "bf": "2", "g": "15"}),
        ("xvid.avi", {"codec": "mpeg4", "bf": "2", "g": "25"}),
        ("mjpeg.avi", {"codec": "mjpeg"}),
        ("plain.gif", {"codec": "gif"}),
        ("open.mkv", {"x264-params": "open-gop=1", **B_FRAMES}),
        ("open.ts", {"x264-params": "open-gop=1", **B_FRAMES}),
        ("refresh.ts", {"x264-params": "intra-refresh=1", "g": "25"}),
        ("refresh.mkv", {"x264-params": "intra-refresh=1", "g": "25"}),
        ("hidden.webm", {"codec": "libvpx", **HIDDEN}),
        ("hidden9.webm", {"codec": "libvpx-vp9", **HIDDEN}),
        ("late.mp4", {"ticks": list(range(50, 170)), **B_FRAMES}),
        ("late.mkv", {"ticks": list(range(50, 170)), **B_FRAMES}),
        ("wmv.asf", {"codec": "wmv2", "g": "25"}),
    ],
)
def test_every_frame_at_its_time_wherever_reading_begins(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path, damaged_s = encoded(tmp_path / name, **options), list[float]()  # type: ignore[arg-type]
    times = [frame.time_s for frame in frames(path, damaged_s=damaged_s)]
    assert times == pytest.approx(np.arange(120) / FPS, abs=1e-3)
    assert (probe(path).frame_count, damaged_s) == (120, [])
    check_pieces(path, times, 1.3)


def with_edits(path: Path, edits: list[tuple[int, int]]) -> Path:
    """Give an MP4 another edit list: (length in ms, first tick of the medium, or -1 for nothing)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") - 4
    before = struct.unpack(">I", content[at : at + 4])[0]
    entries = b"".join(struct.pack(">IiI", length, start, 1 << 16) for length, start in edits)
    content[at : at + before] = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    for box in (b"moov", b"trak", b"edts"):
        place = content.index(box) - 4
        size = struct.unpack(">I", content[place : place + 4])[0] + 16 + len(entries) - before
        content[place : place + 4] = struct.pack(">I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("edits", "first", "count"),
    [
        ([(2000, 1024 + 512 * 40)], 40, 50),
        ([(2000, -1), (2000, 1024 + 512 * 10)], 10, 50),
        ([(1200, 1024)], 0, 30),
    ],
)
def test_an_edit_list_hides_head_and_tail(tmp_path: Path, edits: list[tuple[int, int]], first: int, count: int) -> None:
    whole = encoded(tmp_path / "whole.mp4", bf="2", g="25")
    expected = [frame.rgb for frame in frames(whole)][first : first + count]
    path = with_edits(whole, edits)
    shown = list(frames(path))
    assert all(np.array_equal(frame.rgb, rgb) for frame, rgb in zip(shown, expected, strict=True))
    assert [frame.time_s for frame in shown] == pytest.approx(np.arange(count) / FPS, abs=1e-3)
    assert (probe(path).frame_count, probe(path).duration_s) == (count, pytest.approx(count / FPS))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("held.mkv", {}),
        ("held.mp4", {}),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("held.avi", {"codec": "mjpeg"}),
        ("h264.avi", {"bf": "0"}),
        ("held.gif", {"codec": "gif"}),
    ],
)
def test_a_picture_that_is_held_in_the_middle_is_no_loss(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    ticks = [number + 300 * (number >= 60) for number in range(120)]
    path = encoded(tmp_path / name, ticks=ticks, **options)  # type: ignore[arg-type]
    assert [frame.time_s for frame in frames(path)] == pytest.approx(np.array(ticks) / FPS, abs=1e-3)
    assert probe(path).frame_count == 120


def test_a_last_picture_that_is_held_is_no_loss(tmp_path: Path) -> None:
    shown = ((number / FPS, picture) for number, picture in enumerate(pictures(50)))
    write_timed_video(tmp_path / "held.mp4", shown, FPS, end_s=14.0)
    assert probe(tmp_path / "held.mp4").frame_count == 50
    with av.open(str(tmp_path / "held.mp4")) as container:
        assert container.duration == 14_000_000


@pytest.mark.parametrize("source", ["b.ts", "open.ts", "mpeg2.ts"])
def test_what_precedes_the_first_key_frame_is_not_shown(tmp_path: Path, source: str) -> None:
    options = {"b.ts": B_FRAMES, "open.ts": {"x264-params": "open-gop=1", **B_FRAMES}, "mpeg2.ts": MPEG2}[source]
    whole = encoded(tmp_path / source, **options)  # type: ignore[arg-type]
    content, every = whole.read_bytes(), [frame.rgb for frame in frames(whole)]
    path = tmp_path / "recording.ts"
    path.write_bytes(content[len(content) // 3 // 188 * 188 :])
    shown, damaged_s = [], list[float]()
    for frame in frames(path, damaged_s=damaged_s):
        shown.append(frame)
    assert 60 < len(shown) < 100 and shown[0].time_s == 0.0 and damaged_s == []
    assert all(np.array_equal(frame.rgb, rgb) for frame, rgb in zip(shown, every[-len(shown) :], strict=True))
    assert probe(path).frame_count == len(shown)
    check_pieces(path, [frame.time_s for frame in shown], 1.0)


def test_packets_lost_on_the_air_are_counted(tmp_path: Path) -> None:
    content = encoded(tmp_path / "whole.ts", bf="3", g="40").read_bytes()
    middle = len(content) // 2 // 188 * 188
    (tmp_path / "lost.ts").write_bytes(content[:middle] + content[middle + 3 * 188 :])
    damaged_s: list[float] = []
    assert len(list(frames(tmp_path / "lost.ts", damaged_s=damaged_s))) >= 115
    assert damaged_s and all(1.5 < time_s < 3.5 for time_s in damaged_s)
    assert probe(tmp_path / "lost.ts").duration_s == pytest.approx(4.8)


def test_a_video_that_is_mostly_damaged_is_refused(tmp_path: Path) -> None:
    path = encoded(tmp_path / "noise.mkv", "mjpeg")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in places[40:80]:
        content[place + 8 : place + size] = bytes(size - 8)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"of 120 packets are damaged, the first at 1\.60 s"):
        list(frames(path))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.mkv", B_FRAMES),
        ("cut.webm", {"codec": "libvpx"}),
        ("cut.flv", B_FRAMES),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov", **B_FRAMES}),
        ("edits.mp4", {"movflags": "faststart", **B_FRAMES}),
    ],
)
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str, options: dict[str, str], share: float) -> None:
    content = encoded(tmp_path / name, **options).read_bytes()  # type: ignore[arg-type]
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableVideo, match=r"cut short|damaged"):
        probe(tmp_path / name)


@pytest.mark.parametrize("name", ["cut.ts", "cut.m2ts", "xvid.avi"])
def test_a_stream_that_ends_within_a_packet_is_refused(tmp_path: Path, name: str) -> None:
    options = {
        "cut.ts": B_FRAMES,
        "cut.m2ts": {"muxer": "mpegts", "mpegts_m2ts_mode": "1", **B_FRAMES},
        "xvid.avi": {"codec": "mpeg4"},
    }[name]
    content = encoded(tmp_path / name, **options).read_bytes()  # type: ignore[arg-type]
    (tmp_path / name).write_bytes(content[: int(len(content) * 0.6) // 188 * 188 + 100])
    with pytest.raises(UnreadableVideo, match="cut short"):
        probe(tmp_path / name)


@pytest.mark.parametrize(
    ("ticks_of", "words"),
    [
        (lambda number: 40 * number + 10**12 * (number > 60), "the clock jumps by 1000000000 s after frame 61"),
        (lambda number: 400_000 * number, "120 frames in 47600 s"),
    ],
)
def test_a_clock_that_jumps_is_refused(tmp_path: Path, ticks_of: Callable[[int], int], words: str) -> None:
    ticks = [ticks_of(number) for number in range(120)]
    path = encoded(tmp_path / "jump.mkv", ticks=ticks, tick_s=Fraction(1, 1000), bf="0")
    with pytest.raises(UnreadableVideo, match=words):
        probe(path)


@pytest.mark.parametrize(("name", "options"), [("a.ts", B_FRAMES), ("a.vob", MPEG2)])
def test_recordings_strung_together_are_refused(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    content = encoded(tmp_path / name, **options).read_bytes()  # type: ignore[arg-type]
    (tmp_path / name).write_bytes(content + content)
    with pytest.raises(UnreadableVideo, match=r"the clock jumps back by 4.8 s after frame 120"):
        probe(tmp_path / name)


@pytest.mark.parametrize(("name", "codec"), [("shape.ts", "libx264"), ("shape.mkv", "mjpeg"), ("shape.avi", "mjpeg")])
@pytest.mark.parametrize("second", [(48, 64), (128, 96)])
def test_another_shape_is_a_new_shot_another_size_is_not(
    tmp_path: Path, name: str, codec: str, second: tuple[int, int]
) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for part, (width, height) in enumerate([(64, 48), second]):
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.time_base, encoder.framerate = width, height, TICK_S, Fraction(FPS)
            encoder.pix_fmt = stream.pix_fmt
            packets = []
            for number in range(20):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 200, np.uint8), format="rgb24")
                frame.pts, frame.time_base = 20 * part + number, TICK_S
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode():
                packet.stream = stream
                container.mux(packet)
    shown = list(frames(tmp_path / name))
    is_new = second == (48, 64)
    assert [frame.shot for frame in shown] == [0] * 20 + [int(is_new)] * 20
    last = shown[-1].rgb[24, :, 0]
    assert last.shape == (64,) and (last > 150).sum() == (36 if is_new else 64), "upright in the middle, or all of it"


@pytest.mark.parametrize("is_mirror", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_the_display_matrix_turns_and_mirrors(tmp_path: Path, quarters: int, is_mirror: bool) -> None:
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32], upright[:24, 32:], upright[24:, :32] = (200, 30, 40), (30, 180, 60), (40, 60, 210)
    matrix = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarters)  # of (x, y), y down: a turn to the left
    matrix = np.array([[-1, 0], [0, 1]]) @ matrix if is_mirror else matrix
    path = tmp_path / "phone.mp4"
    write_timed_video(path, ((number / FPS, upright) for number in range(10)), FPS)
    content = bytearray(path.read_bytes())
    # A row of the file's matrix says where an axis of the picture goes.
    (a, b), (c, d) = (matrix.T * (1 << 16)).tolist()
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    corners = {(-1, -1): (200, 30, 40), (1, -1): (30, 180, 60), (-1, 1): (40, 60, 210), (1, 1): (0, 0, 0)}
    shown = next(frames(path)).rgb
    height, width = shown.shape[:2]
    assert (width, height) == ((48, 64) if quarters % 2 else (64, 48))
    for place, colour in corners.items():
        x, y = matrix @ place
        pixel = shown[height // 2 + y * height // 4, width // 2 + x * width // 4].astype(int)
        assert np.abs(pixel - colour).max() < 25
    assert probe(path).mirrored == is_mirror
