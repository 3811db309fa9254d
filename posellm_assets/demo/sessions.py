"""Rendered training sessions: one athlete, two exercises with planted faults, and what a coach says to it, and when.

The coach's rule, all of it: at the end of a repetition (and REACTION_S later, as people need), if nothing was said for
COOLDOWN_S, say

- to a faulty repetition what is wrong with it, once for each run of repetitions with that fault;
- to the first clean repetition after a corrected run that it is better.

Before each exercise the coach says what comes; that is a transition, and no answer to what is seen. Which of several
phrasings is taken comes from the seed. The messages go into the clip's sidecar as `feedback`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from posellm_assets.demo.athlete import athlete
from posellm_assets.demo.faults import FAULTS_OF, STAND_S, DemoRepetition, Fault, PlannedRepetition, timed
from posellm_assets.demo.footage import (
    ATHLETES_PER_SEED,
    FPS,
    ClipPlan,
    RenderedAthlete,
    clip_plan,
    exact_truth,
    rendered_athlete,
    rendered_frames,
    truth_of,
    with_faults,
)
from posellm_assets.demo.movements import DemoMovement, Side, movements
from posellm_assets.files import write_atomic, write_json
from posellm_assets.footage.labels import Feedback, Labels, sidecar_of
from posellm_assets.footage.writing import write_video
from posellm_assets.pool import Pool

SPORT = "fitness"
EXERCISES = {"squat": "squats", "jumping jack": "jumping jacks", "arm raise": "arm raises"}
PART_S = 25.0  # about how long each exercise takes
CLEAN_S = (6.0, 10.0)  # a run of clean repetitions lasts about this long
FAULTY_S = (3.5, 6.0)
STRENGTH = (0.8, 1.0)
REACTION_S = 0.5
COOLDOWN_S = 3.0

CORRECTIONS: dict[Fault, tuple[str, ...]] = {
    "shallow": ("Go deeper.", "Sit all the way down.", "A bit more depth, please."),
    "knee valgus": ("Push your {side} knee out.", "Your {side} knee falls in.", "Keep the {side} knee over the toes."),
    "asymmetric arms": (
        "Lift your {side} arm higher.",
        "Your {side} arm lags.",
        "The {side} arm as high as the other.",
    ),
    "too fast": ("Slow down.", "Take your time.", "Not so fast, stay in control."),
    "truncated range": ("Use the full range.", "Make the movement bigger.", "All the way, please."),
}
PRAISE = ("Good, that is better.", "Yes, like that.", "Well done, keep it up.")


@dataclass(frozen=True)
class SessionPlan:
    """One session: its exercises one after the other, by one athlete before one camera."""

    file: str
    parts: tuple[ClipPlan, ...]
    feedback: tuple[Feedback, ...]

    def path(self, raw: Path) -> Path:
        """Where the session belongs under the drop zone."""
        return raw / SPORT / self.file

    @property
    def participant(self) -> str:
        """Who trains."""
        return self.parts[0].participant

    @property
    def frame_count(self) -> int:
        """How many frames the session has."""
        return sum(part.frame_count for part in self.parts)


def plan_sessions(seed: int, count: int) -> list[SessionPlan]:
    """The sessions of a seed, each of another athlete; another seed has other athletes. Raises ValueError where there
    are more sessions than athletes."""
    if not 0 < count <= ATHLETES_PER_SEED:
        raise ValueError(f"a seed has {ATHLETES_PER_SEED} athletes with a session each, not {count}")
    return [_session(seed, number) for number in range(count)]


def coached(repetitions: Sequence[PlannedRepetition], rng: np.random.Generator) -> list[Feedback]:
    """What the coach says to these repetitions, by the rule above."""
    said: list[Feedback] = []
    corrected: Fault | None = None
    for one in repetitions:
        if said and one.end_s + REACTION_S < said[-1].t + COOLDOWN_S:
            continue
        if one.fault and one.fault != corrected:
            text = str(rng.choice(CORRECTIONS[one.fault])).format(side=one.side)
            corrected = one.fault
        elif one.fault is None and corrected:
            text, corrected = str(rng.choice(PRAISE)), None
        else:
            continue
        said.append(Feedback(t=round(one.end_s + REACTION_S, 3), text=text))
    return said


def render_sessions(raw: Path, pool: Pool, seed: int, count: int) -> Iterator[Path]:
    """Render the sessions of `plan_sessions` that are not in the drop zone `raw` yet; yields each as it is finished.

    Raises the first error of a worker.
    """
    missing = [session for session in plan_sessions(seed, count) if not session.path(raw).exists()]
    for _, outcome in pool.map(partial(render_session, raw=raw), missing):
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


def render_session(session: SessionPlan, raw: Path) -> Path:
    """Write a session under the drop zone `raw`, its sidecar and truth (`session_truth`) first; returns its path."""
    cv2.setNumThreads(1)
    path = session.path(raw)
    first, figures = session.parts[0], [rendered_athlete(part) for part in session.parts]
    whole = RenderedAthlete(figures[0].bones, figures[0].mesh, np.concatenate([one.corners for one in figures]))
    sidecar = Labels(participant=session.participant, feedback=list(session.feedback), rendered=True)
    write_json(sidecar_of(path), sidecar.model_dump(exclude_defaults=True))
    truth = session_truth(session, figures)
    write_atomic(truth_of(path), lambda stream: np.savez_compressed(stream, **truth))  # type: ignore[arg-type]
    write_video(path, rendered_frames(first, whole), FPS, "bgr24")
    return path


def session_truth(session: SessionPlan, figures: Sequence[RenderedAthlete]) -> dict[str, np.ndarray]:
    """The exact truth of a session frame by frame: `image`, `world`, `visible` and `time_s` as those of a clip."""
    truths = [exact_truth(part, figure) for part, figure in zip(session.parts, figures, strict=True)]
    truth = {name: np.concatenate([one[name] for one in truths]) for name in ("image", "world", "visible")}
    return {**truth, "time_s": np.arange(session.frame_count) / FPS, "fps": np.array(float(FPS))}


def _session(seed: int, number: int) -> SessionPlan:
    rng = np.random.default_rng([seed, number, 6])
    who = athlete(seed * ATHLETES_PER_SEED + number + 1)
    known = {movement.name: movement for movement in movements()}
    parts: list[ClipPlan] = []
    feedback: list[Feedback] = []
    start_s = 0.0
    for name in rng.permutation(list(EXERCISES))[:2]:
        clip = clip_plan(known[str(name)], None, who, rng)
        part = with_faults(clip, _repetitions(clip.movement, clip.tempo, rng))
        if parts:
            part = replace(part, camera=parts[0].camera, place=parts[0].place)
        comes = f"{'Moving on to' if parts else 'First up are'} {EXERCISES[str(name)]}!"
        feedback.append(Feedback(t=round(start_s, 3), text=comes, transition=True))
        said = coached(timed(part.movement, part.tempo, part.planted), rng)
        feedback += [one.model_copy(update={"t": round(start_s + one.t, 3)}) for one in said]
        parts.append(part)
        start_s += part.frame_count / FPS
    return SessionPlan(f"session-{who.participant}.mp4", tuple(parts), tuple(feedback))


def _repetitions(movement: DemoMovement, tempo: float, rng: np.random.Generator) -> list[DemoRepetition]:
    """Runs of clean and faulty repetitions in turn, clean first, each faulty one with another fault than the last."""
    repetition_s = movement.cycle_s / tempo
    faults: list[Fault] = [FAULTS_OF[movement.name][i] for i in rng.permutation(len(FAULTS_OF[movement.name]))]
    planted: list[DemoRepetition] = []
    length_s = 2 * STAND_S
    turn = 0
    while length_s < PART_S:
        clean = _count(rng.uniform(*CLEAN_S), repetition_s)
        planted += [DemoRepetition()] * clean
        length_s += clean * repetition_s
        if length_s >= PART_S:
            break
        fault, strength = faults[turn % len(faults)], float(rng.uniform(*STRENGTH))
        side: Side | None = str(rng.choice(["left", "right"])) if fault in ("knee valgus", "asymmetric arms") else None  # type: ignore[assignment]
        faulty_s = repetition_s / (1 + strength) if fault == "too fast" else repetition_s
        faulty = _count(rng.uniform(*FAULTY_S), faulty_s)
        planted += [DemoRepetition(fault, side, strength)] * faulty
        length_s += faulty * faulty_s
        turn += 1
    return planted


def _count(span_s: float, repetition_s: float) -> int:
    return max(2, round(span_s / repetition_s))
