"""The streaming coach: it learns when to speak and what to say, sees no future, and goes on where it was killed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.coaching.streaming.coach import Coach
from posellm_assets.coaching.streaming.config import (
    CoachJob,
    Mode,
    StreamingConfig,
    StreamingReportJob,
    TextMetricsConfig,
)
from posellm_assets.coaching.streaming.report import COACH, RIVAL, evaluate
from posellm_assets.coaching.streaming.scores import Message, Session, match_best
from posellm_assets.coaching.streaming.sessions import (
    RECORD,
    CoachedSession,
    DatasetRecord,
    UnusableSessions,
    read_dataset_record,
    read_sessions,
    rows_of,
)
from posellm_assets.coaching.streaming.timing import decide
from posellm_assets.coaching.streaming.train import train
from posellm_assets.endpoint import EndpointConfig
from posellm_assets.files import write_json
from posellm_assets.generations.gate import Rival
from posellm_assets.motion.live import LiveWindow
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets_tests.endpoint_server import endpoint, says
from posellm_assets_tests.unit.coaching.coached import DELAY_S, job, write_sessions


def silently(message: str) -> None:
    """Takes a line of progress nowhere."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sessions(tmp_path_factory.mktemp("coach") / "data").parent


@pytest.fixture(scope="module")
def calm(folder: Path) -> CoachJob:
    """A training that nothing disturbed."""
    training = job(folder / "data", folder / "calm")
    train(training, silently)
    return training


@pytest.fixture(scope="module")
def coach(calm: CoachJob) -> Coach:
    return Coach.load(calm.out / "final")


@pytest.fixture(scope="module")
def unseen(folder: Path) -> list[CoachedSession]:
    return read_sessions(folder / "data", read_dataset_record(folder / "data"), "test")


def windows(session: CoachedSession) -> list[LiveWindow]:
    rows = zip(session.start_s.tolist(), session.end_s.tolist(), session.features, strict=True)
    return [LiveWindow(start_s, end_s, (0,), features) for start_s, end_s, features in rows]


def test_it_says_the_right_words_at_the_right_time_to_people_that_it_has_not_seen(
    coach: Coach, unseen: list[CoachedSession]
) -> None:
    pairs = said = references = right = 0
    for session in unseen:
        messages = coach.hear_all(session)
        matched = match_best(session.messages, messages)
        pairs, said, references = pairs + len(matched), said + len(messages), references + len(session.messages)
        right += sum(session.messages[one].text == messages[other].text for one, other in matched)
    assert references >= 6
    assert pairs >= 0.8 * references and pairs >= 0.8 * said
    assert right >= 0.8 * pairs


def test_what_it_says_depends_on_no_later_window_and_is_the_same_window_by_window(
    coach: Coach, unseen: list[CoachedSession]
) -> None:
    session = unseen[0]
    whole = coach.hear_all(session)
    assert whole
    coach.begin()
    heard = []
    for window in windows(session):
        message = coach.hear(window)
        if message:
            heard.append(message)
            assert message.time_s == pytest.approx(window.end_s + DELAY_S)
    assert [(one.time_s, one.text) for one in heard] == [(one.time_s, one.text) for one in whole]
    half = session.cut(0, session.start_s[len(session.start_s) // 2])
    assert coach.hear_all(half) == tuple(one for one in whole if one.time_s <= half.end_s[-1] + DELAY_S)


def test_it_keeps_quiet_after_a_message_and_does_not_say_the_same_twice(
    coach: Coach, unseen: list[CoachedSession]
) -> None:
    eager = Coach(
        coach.model, coach.record.model_copy(update={"threshold": 0.0, "cooldown_s": 3.0, "no_repeat_s": 7.0})
    )
    messages = eager.hear_all(unseen[0])
    assert len(messages) > 1
    assert np.diff([one.time_s for one in messages]).min() >= 3.0
    for place, one in enumerate(messages):
        before = [other.text for other in messages[:place] if one.time_s - other.time_s < 7.0]
        assert one.text not in before


def test_batches_that_are_accumulated_train_and_another_job_is_refused_in_the_same_folder(
    folder: Path, calm: CoachJob
) -> None:
    split = job(folder / "data", folder / "split", steps=2, rows_per_batch=1, batches_per_step=3, evaluations=1)
    train(split, silently)
    assert len((split.out / "losses.jsonl").read_text().splitlines()) == 2
    with pytest.raises(CheckpointMismatch, match=r"config\.steps was 48 and is now 61"):
        train(job(folder / "data", calm.out, steps=61), silently)


@pytest.mark.parametrize("mode", ["clip", "full_session", "sliding_window"])
def test_no_mode_of_cutting_sessions_loses_a_message(mode: Mode, unseen: list[CoachedSession]) -> None:
    session = replace(unseen[0], transitions_s=(0.0, 11.0))
    rows = rows_of(session, StreamingConfig(mode=mode, window_s=10))
    assert {one for row in rows for one in row.messages} == set(session.messages)
    assert sum(len(row.start_s) for row in rows) >= len(session.start_s)
    if mode == "sliding_window":
        assert rows[0].before is None
        for row in rows:
            earlier = [one for one in session.messages if one.time_s < row.start_s[0]]
            assert row.before == (earlier[-1] if earlier else None)
    else:
        assert len(rows) == (2 if mode == "clip" else 1) and all(row.before is None for row in rows)


def test_three_hours_lose_nothing_on_their_way_into_rows(unseen: list[CoachedSession]) -> None:
    start = np.arange(0, 3 * 3600, 0.2)
    messages = tuple(Message(float(time_s), "again") for time_s in np.arange(1, 3 * 3600, 2))
    long = replace(
        unseen[0], duration_s=3 * 3600.0, start_s=start, end_s=start + 0.2, codes=np.zeros((len(start), 1), np.int32),
        features=np.broadcast_to(unseen[0].features[:1], (len(start), *unseen[0].features.shape[1:])),
        messages=messages,
    )  # fmt: skip
    rows = rows_of(long, StreamingConfig(mode="sliding_window"))
    assert {one for row in rows for one in row.messages} == set(messages) and len(messages) == 5400
    assert rows[-1].end_s[-1] == long.end_s[-1]


def test_a_dataset_without_words_is_refused(folder: Path, tmp_path: Path) -> None:
    record = read_dataset_record(folder / "data")
    silent = [one.model_copy(update={"feedback": []}) for one in record.sessions]
    changed = DatasetRecord.model_validate(record.model_dump() | {"sessions": [one.model_dump() for one in silent]})
    (tmp_path / "windows").symlink_to(folder / "data" / "windows")
    write_json(tmp_path / RECORD, changed.model_dump(mode="json"))
    with pytest.raises(UnusableSessions, match=r"no session of the train split in .* has a message"):
        train(job(tmp_path, tmp_path / "out"), silently)
    with pytest.raises(UnusableSessions, match="materialize feedback_dataset first"):
        train(job(tmp_path / "nothing", tmp_path / "out"), silently)


def test_the_report_has_every_baseline_beside_the_coach(folder: Path, calm: CoachJob) -> None:
    with endpoint(says({"mark": 4})) as served:
        report = StreamingReportJob(
            coach=calm.out / "final",
            dataset=folder / "data",
            rival=Rival(name="all-0001", folder=calm.out / "final"),
            out=folder / "report",
            text_metrics=TextMetricsConfig(judge=EndpointConfig(url=served.url, model="judge")),
        )
        metrics = evaluate(report, silently)
    assert metrics["texts"][COACH]["figures"]["llm_acc_published"]["value"] == 4
    assert metrics["texts"]["silence"]["figures"]["llm_acc_covered"]["value"] == 0
    assert "local folder" in metrics["texts"][COACH]["absent"]["bertscore_covered"]
    assert list(metrics["speakers"]) == [COACH, RIVAL, "silence", "constant chatter", "random times"]
    assert metrics["speakers"]["silence"]["optimal"]["value"] == 0.0
    own = metrics["speakers"][COACH]
    assert own["optimal"]["value"] > max(
        metrics["speakers"][name]["optimal"]["value"] for name in list(metrics["speakers"])[2:]
    )
    assert own["optimal"]["n"] == metrics["sessions"] == 2
    assert metrics["texts"]["silence"]["figures"]["rouge_l_covered"]["value"] == 0.0
    assert metrics["texts"][COACH]["figures"]["rouge_l_covered"]["value"] > 0.6
    assert metrics["decision"]["promote"] and "Not worse" in metrics["decision"]["reasons"][0]
    assert metrics["latency"]["delay_s"] == DELAY_S and metrics["latency"]["median_ms"] > 0
    assert json.loads((folder / "report" / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    page = (folder / "report" / "index.html").read_text()
    assert "constant chatter" in page and "ROUGE-L, all references" in page and "That was your" in page


def answers(*times_s: float) -> list[Session]:
    """Four sessions with messages due at 10 and 30 s, in which messages come at these times."""
    due = (Message(10, "a"), Message(30, "b"))
    return [Session(due, tuple(Message(time_s, "x") for time_s in times_s), 60)] * 4


def test_a_coach_is_promoted_only_where_it_beats_the_baselines_and_is_no_worse_than_the_one_in_use() -> None:
    good, poor, silent = answers(10.2, 30.1), answers(10.2), answers()
    assert decide(good, {"silence": silent}, None, None).promote
    assert not decide(silent, {"silence": silent}, None, None).promote
    assert not decide(poor, {"random times": good}, None, None).promote
    assert decide(good, {"silence": silent}, poor, "all-0001").promote
    worse = decide(poor, {"silence": silent}, good, "all-0001")
    assert not worse.promote and worse.reasons[0].startswith("Worse: T-F-Score 0.667 against 1.000")


def test_a_coach_whose_weights_are_of_another_one_is_refused(coach: Coach, tmp_path: Path) -> None:
    coach.save(tmp_path)
    record = coach.record.model_copy(update={"hidden_size": 25})
    (tmp_path / "coach.json").write_text(record.model_dump_json())
    with pytest.raises(ValueError, match="train the coach again"):
        Coach.load(tmp_path)
