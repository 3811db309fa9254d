"""Sessions of QEVD: what was said and when, from one entry a frame, on the clock of the video."""

import json
from pathlib import Path
from typing import Any

import pytest

from posellm_assets.coaching.streaming.qevd import FILE, UnusableSession, import_qevd, read_qevd
from posellm_assets.footage.labels import Feedback, LabelError, Labels
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip

NOON_S = 1_700_049_600.0  # seconds since 1970, as its clock counts


def entry(**changed: Any) -> dict[str, Any]:
    """Six frames at 10 frames/s: a transition over two, one of silence, a message of one, a message to the end."""
    return {
        "long_range_video_file": "./videos/0001.mp4",
        "video_timestamps": [NOON_S + 0.1 * frame for frame in range(6)],
        "feedbacks": ["First up are squats!", "First up are squats!", "", "Deeper.", "Well done!", "Well done!"],
        "is_transition": [True, True, False, False, False, False],
        "feedback_timestamps": ["2023-11-15 20:00:00"],
        **changed,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qevd" / "videos").mkdir(parents=True)
    write_clip(tmp_path / "qevd" / "videos" / "0001.mp4")
    return tmp_path / "qevd"


def listed(folder: Path, *entries: Any) -> Path:
    (folder / FILE).write_text(json.dumps(entries))
    return folder


SAID = [
    Feedback(t=0.0, text="First up are squats!", transition=True),
    Feedback(t=0.3, text="Deeper."),
    Feedback(t=0.4, text="Well done!"),
]


def test_a_message_is_a_run_of_frames_and_one_up_to_the_last_frame_is_kept(folder: Path) -> None:
    ((video, labels),) = read_qevd(listed(folder, entry()))
    assert video == folder / "videos" / "0001.mp4"
    assert labels.feedback == SAID
    by_message = read_qevd(listed(folder, entry(is_transition=[True, False, False])))
    assert by_message[0][1].feedback == SAID


def test_a_session_comes_into_the_drop_zone_with_its_feedback(folder: Path, tmp_path: Path) -> None:
    ((placed, messages),) = import_qevd(Lake(tmp_path / "lake"), listed(folder, entry()), "fitness")
    assert messages == 3 and not placed.is_symlink()
    assert Labels.beside(placed).feedback == SAID


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"feedbacks": ["a"] * 5}, "entry 0: 5 feedbacks for 6 video_timestamps"),
        ({"video_timestamps": [0.0, 0.2, 0.1, 0.3, 0.4, 0.5]}, r"entry 0: video_timestamps.2 is not later"),
        ({"is_transition": [True] * 4}, "entry 0: 4 is_transition for 6 frames with 3 messages"),
        ({"feedbacks": None}, "entry 0: feedbacks: Input should be a valid list"),
        ({"long_range_video_file": "../../0001.mp4"}, "entry 0: '../../0001.mp4' lies outside"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_with_its_key(folder: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableSession, match=says):
        read_qevd(listed(folder, entry(**changed)))


def test_nothing_is_copied_where_one_session_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    write_clip(folder / "videos" / "0002.mp4", 2)
    late = [NOON_S + 3600.0 * frame for frame in range(6)]
    second = entry(long_range_video_file="videos/0002.mp4", video_timestamps=late)
    with pytest.raises(LabelError, match=r"0002\.mp4: feedback: 2 of 3 messages come after the end of the clip"):
        import_qevd(Lake(tmp_path / "lake"), listed(folder, entry(), second), "fitness")
    with pytest.raises(FileNotFoundError, match=r"entry 1: there is no video .*0003.mp4"):
        import_qevd(
            Lake(tmp_path / "lake"), listed(folder, entry(), entry(long_range_video_file="0003.mp4")), "fitness"
        )
    assert not list((tmp_path / "lake").rglob("*.mp4"))
