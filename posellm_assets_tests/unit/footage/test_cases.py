"""The small inputs of `shared/data/cases` that are videos, each of a kind that users have reported. Not in the project.

Accepted means that every shown frame is read at its right time, also where reading begins in the middle.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.sources import from_segments
from posellm_assets.actions.dataset.writing import write_dataset
from posellm_assets.footage.video import Frame, UnreadableVideo, frames, probe
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.subjects import subject_of
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.frames import read_frames
from posellm_assets_tests.unit.actions.clips import InProcess
from posellm_assets_tests.unit.footage.reading import check_pieces


def case(name: str) -> Path:
    """The file of that name; skips the test where the files are not at hand."""
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("POSELLM_TEST_DATA", default)) / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases in {folder} (POSELLM_TEST_DATA)")
    return folder / name


@pytest.mark.parametrize(
    ("name", "count", "fps"),
    [
        ("trim_both.mp4", 31, 24),
        ("elst_head.mp4", 46, 24),
        ("elst_tail.mp4", 36, 24),
        ("held_last.mp4", 82, 24),
        ("held_last.mkv", 82, 24),
        ("a.ts", 82, 24),
        ("interlaced.mts", 85, 25),
        ("two_minutes.ts", 2952, 24),
        ("gop250.ts", 738, 24),
        ("matrix_none.mp4", 82, 24),
        ("matrix_hflip.mp4", 82, 24),
        ("matrix_vflip.mp4", 82, 24),
        ("webcam12.mp4", 41, 12),
        ("webcam6.mp4", 21, 6),
        ("size_change.webm", 82, 24),
    ],
)
def test_every_shown_frame_at_its_right_time(name: str, count: int, fps: int) -> None:
    info, damaged_s = probe(case(name)), list[float]()
    times = [frame.time_s for frame in frames(case(name), damaged_s=damaged_s)]
    assert times == pytest.approx(np.arange(count) / fps, abs=1e-3)
    assert (info.frame_count, damaged_s) == (count, [])
    assert info.duration_s == pytest.approx(count / fps, abs=2e-3)
    check_pieces(case(name), times, info.duration_s / 3)


def test_trim_both_gives_a_vision_model_no_picture_twice() -> None:
    path = case("trim_both.mp4")
    seen, times_s = read_frames(path, 0.0, probe(path).duration_s, None, FramesConfig(count=8, size_px=64))
    assert times_s == pytest.approx(np.arange(8) * 31 / 24 / 8)
    assert all(not np.array_equal(one, other) for one, other in pairwise(seen))


@pytest.mark.parametrize("name", ["matrix_hflip.mp4", "matrix_vflip.mp4"])
def test_matrix_is_applied_with_its_mirror(name: str) -> None:
    stored_upright, shown = (next(frames(case(one))).rgb.astype(int) for one in ("matrix_none.mp4", name))
    assert np.abs(shown - stored_upright).mean() < 2
    assert np.abs(shown[:, ::-1] - stored_upright).mean() > 10
    assert probe(case(name)).mirrored


def test_size_change_webm_is_a_new_shot_and_nothing_is_squeezed() -> None:
    path = case("size_change.webm")
    both = list(frames(path))
    assert {frame.rgb.shape for frame in both} == {(360, 640, 3)}
    assert [frame.shot for frame in both] == [0] * 41 + [1] * 41
    upright = both[60].rgb  # 360 x 640, in the height of the first shot
    assert not upright[:, :218].any() and not upright[:, -218:].any() and upright[:, 221:419].any(axis=(0, 2)).all()
    poses, _ = poses_of(path, PoseConfig())
    assert poses.cuts_s == pytest.approx([both[41].time_s])
    motion = motion_from_poses(subject_of(poses), MotionConfig())
    first, second = motion.segments(0.5)
    assert first.duration_s < both[41].time_s < motion.start_s + motion.duration_s - second.duration_s + 0.06


def test_vfr_phone_is_cut_by_time(tmp_path: Path) -> None:
    phone = shutil.copy(case("vfr_phone.mp4"), tmp_path / "phone.mp4")
    shutil.copy(case("vfr_strokes.csv"), tmp_path / "strokes.csv")
    found = from_segments(tmp_path / "strokes.csv", "fitness")
    found.examples = [replace(example, split="train") for example in found.examples]
    config = DatasetConfig(languages=("en",))
    dataset, refused = write_dataset(
        tmp_path / "out", found.examples, found.refused, found.label_set, config, InProcess(), seed=0
    )
    assert refused == []
    assert sorted((one.start_s, one.end_s) for one in dataset.examples) == [(0.2, 1.2), (0.5, 3.0), (3.0, 5.0)]
    for example in dataset.examples:
        path = dataset.clip_of(example).video
        assert path is not None
        assert probe(path).duration_s == pytest.approx(example.end_s - example.start_s, abs=1e-3)
        cut, on_screen = list(frames(path)), _on_screen(phone, example.start_s, example.end_s)
        assert [frame.time_s for frame in cut] == pytest.approx([frame.time_s for frame in on_screen], abs=1e-3)
        worst = max(np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in zip(cut, on_screen, strict=True))
        assert worst < 4, "the same pictures, encoded once more"


def _on_screen(path: Path, start_s: float, end_s: float) -> list[Frame]:
    """What is on the screen between two times, in times from the first of them."""
    shown = [frame for frame in frames(path) if frame.time_s < end_s]
    before = max(frame.time_s for frame in shown if frame.time_s <= start_s)
    return [Frame(max(0.0, frame.time_s - start_s), frame.rgb) for frame in shown if frame.time_s >= before]


def test_damaged_noise_mp4_goes_on_counts_and_says_where() -> None:
    path, damaged_s = case("damaged_noise.mp4"), list[float]()
    assert probe(path).frame_count == 82
    times = [frame.time_s for frame in frames(path, damaged_s=damaged_s)]
    assert damaged_s == [1.75]
    assert times == pytest.approx([number / 24 for number in range(82) if number != 42])
    poses, quality = poses_of(path, PoseConfig())
    assert len(poses.time_s) == 81
    assert any("Damaged packets in the video: 1, at 1.75 s" in warning for warning in quality.warnings)


@pytest.mark.parametrize("name", ["webcam12.mp4", "webcam6.mp4"])
def test_webcam_moves_as_fast_as_at_24_frames_a_second_and_is_warned_of(name: str) -> None:
    speeds = []
    for path in (case("matrix_none.mp4"), case(name)):
        poses, quality = poses_of(path, PoseConfig())
        joints = motion_from_poses(subject_of(poses), MotionConfig()).joints
        speeds.append(float(np.nanmean(np.linalg.norm(np.diff(joints, axis=0), axis=-1))) * MotionConfig().fps)
    assert speeds[1] == pytest.approx(speeds[0], rel=0.1)
    assert any("Film with 24 frames/s or more" in warning for warning in quality.warnings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raw.h264", "raw video stream without a container.*ffmpeg -r 30 -i FILE -c copy FILE.mp4"),
        ("gap_86400.mkv", "the clock jumps by 86400 s after frame 34"),
        ("png16k_x3000.mov", "larger than 8K"),
        ("pasp_max_1.mov", "times as wide as high"),
    ],
)
def test_refused_with_a_sentence_within_bounded_time_and_memory(name: str, words: str) -> None:
    path = case(name)
    with pytest.raises(UnreadableVideo, match=words):
        probe(path)
    limited = (
        "import resource, sys; from pathlib import Path; from posellm_assets.footage.video import *\n"
        "for limit, most in ((resource.RLIMIT_AS, 1 << 30), (resource.RLIMIT_CPU, 20)):\n"
        "    resource.setrlimit(limit, (most, most))\n"
        "for read in (probe, lambda path: list(frames(path))):\n"
        "    try: read(Path(sys.argv[1]))\n"
        "    except UnreadableVideo: pass"
    )
    result = subprocess.run([sys.executable, "-c", limited, str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_file_of_the_cases_is_in_a_test_of_its_name_and_they_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = case("README.md").parent
    tests = [path.read_text() for path in Path(__file__).parents[2].rglob("test_*.py")]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "README.md"]
    untested = [path.name for path in files if not any(f'{path.name}"' in text for text in tests)]
    with capsys.disabled():
        print(f"\n{len(files) - len(untested)} of {len(files)} files of {folder} are in a test of their name")
    assert untested == []
