"""Whole sessions over a real file and before a camera, with the real pose network."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from posellm_assets.cli import app
from posellm_assets.coaching.live.measured import POINTS
from posellm_assets.coaching.live.report import ReportedFault
from posellm_assets.coaching.live.rules import LiveRules
from posellm_assets.coaching.live.session import LiveSession
from posellm_assets.coaching.streaming.coach import Coach, CoachRecord
from posellm_assets.coaching.streaming.inputs import bodies, described, recent
from posellm_assets.coaching.streaming.network import CoachModel
from posellm_assets.coaching.streaming.scores import Message
from posellm_assets.commands.coach import fault_in_words, hold_session, stopped_by_ctrl_c
from posellm_assets.demo.example import EXERCISE, FILE, SHALLOW_SQUATS, render_example
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.demo.footage import render_clip
from posellm_assets.footage.live import Playback
from posellm_assets.footage.video import Frame, UnreadableVideo, frames, probe
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.live import LiveTokens, LiveWindow
from posellm_assets.motion.representation import layout
from posellm_assets.motion.skeletons import BODY
from posellm_assets.poses.config import PoseConfig
from posellm_assets.settings import load_settings
from posellm_assets_tests.coaching_clips import planted
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.unit.motion.test_tokenizer import SMALL, untrained

SHALLOW = DemoRepetition("shallow")


@pytest.fixture(scope="module")
def squats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered athlete whose two squats are both half ones."""
    clip = planted("squat", (SHALLOW, SHALLOW))
    return render_clip(replace(clip, tempo=1.3), tmp_path_factory.mktemp("raw"))


def test_a_video_gives_messages_an_annotated_video_and_a_report(squats: Path, tmp_path: Path) -> None:
    lake, out = Lake(str(tmp_path / "lake")), tmp_path / "annotated.mp4"
    report, page = hold_session(lake, load_settings(lake), squats, None, "squat", out, by_rules=False, aloud=False)
    assert [(one.name, one.repetitions, one.clean) for one in report.exercises] == [("squat", 2, 0)]
    assert {(one.fault, one.repetitions) for one in report.exercises[0].faults} >= {("shallow", (1, 2))}
    assert report.messages and report.messages[0].fault == "shallow"
    assert report.latency and report.latency.median_s >= 0.3
    assert (report.dropped, report.ended, report.frames) == (0, None, probe(squats).frame_count)
    given, drawn = list(frames(squats)), list(frames(out))
    assert [frame.time_s for frame in drawn] == pytest.approx([frame.time_s for frame in given], abs=1e-3)
    changed = [np.abs(a.rgb[-20:].astype(int) - b.rgb[-20:]).mean() > 40 for a, b in zip(given, drawn, strict=True)]
    shown_s = [frame.time_s for frame, is_changed in zip(given, changed, strict=True) if is_changed]
    assert report.exercises[0].end_s + 0.3 <= shown_s[0] <= report.messages[0].time_s
    assert json.loads(out.with_suffix(".json").read_text()) == report.model_dump(mode="json")
    assert page and "2 × squat" in page.read_text() and "data:image/jpeg" in page.read_text()
    done = report.exercises[0].done
    assert [(one.number, "shallow" in one.faults) for one in done] == [(1, True), (2, True)]
    for one in done:
        assert one.measured.quantity == "hip_drop" and 0.05 < (one.measured.value or 0) < 0.4, "how deep"
        assert one.measured.there_s + one.measured.back_s == pytest.approx(one.end_s - one.start_s, abs=0.01), "tempo"
        knee = next(angle for angle in one.measured.angles if angle.joint == "knee")
        assert knee.least < knee.most - 20 and len(one.measured.curves["knee_angle"]) == POINTS
    assert page.read_text().count("<polyline") >= 4 and "left knee" in page.read_text()
    assert fault_in_words(report.exercises[0].faults[0]).startswith("Shallow (both) in repetitions 1 and 2, a")


def test_a_fault_reads_as_a_sentence() -> None:
    fault = ReportedFault(fault="too fast", side=None, severity="minor", repetitions=(2,), value=1, target=2, unit="s")
    assert fault_in_words(fault) == "Too fast in repetition 2, a minor fault."
    worse = fault.model_copy(update={"severity": "intermediate", "repetitions": (1, 2, 4), "side": "left"})
    assert fault_in_words(worse) == "Too fast (left) in repetitions 1, 2 and 4, an intermediate fault."


def test_the_example_of_the_demo_has_two_shallow_squats_and_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    told = CliRunner().invoke(app, ["coaching", "example", "--out", str(folder)])
    assert told.exit_code == 0 and f"posellm coach {folder / 'squats.mp4'} --exercise squat" in told.output
    lake = Lake(str(tmp_path / "lake"))
    report, _ = hold_session(lake, load_settings(lake), folder / FILE, None, EXERCISE, None, by_rules=True, aloud=False)
    (squats,) = report.exercises
    assert [one.number for one in squats.done if "shallow" in one.faults] == list(
        SHALLOW_SQUATS
    ) and squats.repetitions == 6
    with pytest.raises(FileExistsError, match="there already"):
        render_example(folder)


@pytest.fixture(scope="module")
def short(squats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two seconds."""
    video = tmp_path_factory.mktemp("short") / "short.mp4"
    write_timed_video(video, ((frame.time_s, frame.rgb) for frame in frames(squats, 0.0, 2.0)), 24)
    return video


class Counting:
    """A coach that says which window it hears, every other time."""

    def begin(self) -> None:
        self.heard: list[LiveWindow] = []

    def hear(self, window: LiveWindow) -> Message | None:
        self.heard.append(window)
        return Message(window.end_s, f"window {len(self.heard)}") if len(self.heard) % 2 == 1 else None


def test_a_trained_coach_hears_every_window_and_speaks_in_place_of_the_rules(short: Path) -> None:
    coach, config = Counting(), MotionConfig()
    tokens = LiveTokens(untrained(SMALL), config, delay_s=0.5)
    session = LiveSession(Playback(short), PoseConfig(), LiveRules("squat", None, config), (coach, tokens))
    moments = list(session.moments())
    ends_s = [window.end_s for window in coach.heard]
    np.testing.assert_allclose(np.diff(ends_s), 0.4)
    assert [remark.text for remark in session.remarks] == [f"window {n}" for n in range(1, len(ends_s) + 1, 2)]
    assert [moment.remark for moment in moments if moment.remark] == session.remarks
    assert len(session.remarks) == 2 and all(remark.latency_s >= 0.5 for remark in session.remarks)
    assert len(session.rules.counted) == 1  # the rules count on


def test_the_coach_in_use_in_the_lake_speaks_and_needs_no_exercise(short: Path, tmp_path: Path) -> None:
    lake, tokenizer = Lake(str(tmp_path / "lake")), untrained(SMALL)
    lineage = tokenizer.save(lake.tokenizers / "new")
    (lake.tokenizers / "new").rename(lake.tokenizer(lineage))
    features = np.zeros((1, 8, layout(BODY).size), np.float32)
    inputs = recent(described(*bodies(features, 20.0)), 0.4).shape[1]
    record = CoachRecord(messages=["Go on."], inputs=inputs, hidden_size=8, threshold=0.0, cooldown_s=0.5,
                         no_repeat_s=0.5, fps=20.0, delay_s=0.5, lineage=lineage)  # fmt: skip
    Coach(CoachModel(inputs, 1, 8, 0.0), record).save(lake.streaming_coach("all-0001") / "final")
    put_in_use(lake, "coach", "all-0001", lineage=lineage)
    report, _ = hold_session(lake, load_settings(lake), short, None, None, None, by_rules=False, aloud=False)
    assert "trained on all-0001" in report.coach
    assert len(report.messages) == 2 and {one.text for one in report.messages} == {"Go on."}


def test_a_camera_that_disappears_leaves_the_report_on_what_was_seen(squats: Path, tmp_path: Path) -> None:
    pipe, out = tmp_path / "camera.ts", tmp_path / "annotated.mp4"
    os.mkfifo(pipe)
    threading.Thread(target=film, args=(pipe, [frame.rgb for frame in frames(squats, 0.0, 1.5)]), daemon=True).start()
    command = ["coach", "--camera", str(pipe), "--exercise", "squat", "--out", str(out), "--json", "--lake", "none"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "has gone: look after its cable" in result.stderr
    report = json.loads(result.stdout)
    assert "has gone" in report["ended"] and report["frames"] + report["dropped"] <= 36
    assert probe(out).frame_count == report["frames"] >= 1
    assert "Ended early" in out.with_suffix(".html").read_text()


def test_of_a_file_that_is_damaged_further_on_the_beginning_is_reported(squats: Path, tmp_path: Path) -> None:
    class Damaged(Playback):
        def frames(self) -> Iterator[Frame]:
            yield from itertools.islice(super().frames(), 3)
            raise UnreadableVideo("it is damaged")

    session = LiveSession(Damaged(squats), PoseConfig(), LiveRules("squat", None, MotionConfig()))
    assert len(list(session.moments())) == 3
    assert session.lost == "it is damaged"


def test_ctrl_c_ends_a_session_with_what_was_seen(squats: Path) -> None:
    session = LiveSession(Playback(squats), PoseConfig(), LiveRules("squat", None, MotionConfig()))
    with stopped_by_ctrl_c(session):
        for number, _ in enumerate(session.moments(), start=1):
            if number == 3:
                signal.raise_signal(signal.SIGINT)
    assert session.frames == 3 and session.lost is None


def film(pipe: Path, pictures: list[np.ndarray]) -> None:
    """Show pictures at 24 frames a second, then hang up."""
    with pipe.open("wb", buffering=0) as out, av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"g": "6"}
        started = time.monotonic()
        for number, picture in enumerate(pictures, start=1):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            time.sleep(max(0.0, started + number / 24 - time.monotonic()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"video": None}, "a video file, or a camera"),
        ({"exercise": "chess"}, "no rules for 'chess', only for arm raise"),
        ({"exercise": None}, "say what is done, for instance --exercise squat"),
        ({"out": Path("annotated.avi")}, "ends in .mp4, not annotated.avi"),
        ({"video": Path(__file__)}, "test_session.py: this is not a video"),
    ],
)
def test_what_a_user_got_wrong_is_said(arguments: dict, words: str, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    given = {"video": tmp_path, "camera": None, "exercise": "squat", "out": None, "by_rules": False, **arguments}
    with pytest.raises(ValueError, match=words):
        hold_session(lake, load_settings(lake), aloud=False, **given)
