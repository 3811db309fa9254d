"""Rendered sessions: what the coach says follows from the repetitions by the rule, and comes with the clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.demo.faults import DemoRepetition, Fault, PlannedRepetition, timed
from posellm_assets.demo.footage import FPS, truth_of, with_faults
from posellm_assets.demo.sessions import (
    COOLDOWN_S,
    CORRECTIONS,
    PART_S,
    PRAISE,
    REACTION_S,
    coached,
    plan_sessions,
    render_session,
)
from posellm_assets.footage.labels import Feedback, Labels
from posellm_assets.footage.video import probe


def done(*faults: Fault | None, every_s: float = 2.0) -> list[PlannedRepetition]:
    return [PlannedRepetition(fault, None, every_s * n, every_s * (n + 1)) for n, fault in enumerate(faults)]


def said(repetitions: list[PlannedRepetition]) -> list[tuple[float, str]]:
    kinds = {text: fault for fault, texts in CORRECTIONS.items() for text in texts} | dict.fromkeys(PRAISE, "praise")
    return [(one.t - REACTION_S, kinds[one.text]) for one in coached(repetitions, np.random.default_rng(0))]


def test_a_fault_is_corrected_once_a_run_and_the_first_clean_repetition_after_it_is_praised() -> None:
    repetitions = done(None, None, "shallow", "shallow", "shallow", None, None, None, "shallow", "shallow")
    assert said(repetitions) == [(6.0, "shallow"), (12.0, "praise"), (18.0, "shallow")]


def test_in_the_cooldown_nothing_is_said_and_what_is_still_true_comes_after_it() -> None:
    assert COOLDOWN_S == 3.0
    assert said(done("too fast", None, None)) == [(2.0, "too fast"), (6.0, "praise")]
    assert said(done("too fast", "shallow", None)) == [(2.0, "too fast"), (6.0, "praise")]


def test_every_session_is_of_another_athlete_and_its_feedback_lies_in_it_in_order() -> None:
    sessions = plan_sessions(60, 12)
    assert plan_sessions(60, 12) == sessions
    assert len({session.participant for session in sessions}) == 12
    assert not {session.participant for session in plan_sessions(61, 12)} & {one.participant for one in sessions}
    for session in sessions:
        duration_s = session.frame_count / FPS
        assert 2 * PART_S - 1 < duration_s < 2 * PART_S + 30
        labels = Labels(feedback=list(session.feedback))
        labels.check_fits(duration_s, session.file)
        assert [one.t for one in labels.feedback if one.transition] == pytest.approx(
            [0, session.parts[0].frame_count / FPS], abs=1e-3
        )
        assert all("None" not in one.text and "{" not in one.text for one in labels.feedback)


def test_a_rendered_session_has_its_feedback_beside_it_and_the_truth_of_both_exercises(tmp_path: Path) -> None:
    session = plan_sessions(60, 1)[0]
    parts = tuple(with_faults(part, [DemoRepetition(), DemoRepetition("too fast")]) for part in session.parts)
    short = replace(session, parts=parts, feedback=(Feedback(t=2.0, text="Slow down."),))
    path = render_session(short, tmp_path)
    assert Labels.beside(path) == Labels(participant=session.participant, feedback=list(short.feedback), rendered=True)
    assert probe(path).frame_count == short.frame_count == sum(part.frame_count for part in parts)
    with np.load(truth_of(path)) as truth:
        assert truth["world"].shape == (short.frame_count, 33, 3)
        assert (np.diff(truth["time_s"]) > 0).all()
    assert timed(parts[1].movement, parts[1].tempo, parts[1].planted)[-1].fault == "too fast"
