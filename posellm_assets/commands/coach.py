"""`posellm coach`: a session over a video or before a camera. Loads MediaPipe, and torch where a model is asked."""

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from posellm_assets.actions.members.members import ActionClip
from posellm_assets.actions.members.opinions import NONE
from posellm_assets.checksums import check_model
from posellm_assets.coaching.labels.rules import all_rules, rules_of
from posellm_assets.coaching.live.annotating import annotated
from posellm_assets.coaching.live.report import Exercise, ReportedFault, SessionReport, report_on, write_report
from posellm_assets.coaching.live.rules import LiveRules, NameExercise
from posellm_assets.coaching.live.session import LiveSession, Moment, TrainedCoach
from posellm_assets.commands.console import console, print_table
from posellm_assets.commands.recognise import recogniser_of
from posellm_assets.footage.live import Camera, FrameSource, Playback
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.generations.releases import in_use
from posellm_assets.lake import Lake
from posellm_assets.motion.live import LiveTokens
from posellm_assets.motion.motion import Motion
from posellm_assets.settings import Settings

# Below this the recogniser's best guess is no exercise: somebody who stood before jumping jacks was push-ups with 0.58.
_SURE = 0.8
_FPS = 30.0

_NO_COACH = "No trained coach is in use in this lake: the rules of the exercise speak."
_RULES = "The rules of the exercise speak."
_TRAINED = "The coach trained on {snapshot} speaks; it knows the exercises and the words that it learned from."


def hold_session(
    lake: Lake,
    settings: Settings,
    video: Path | None,
    camera: str | None,
    exercise: str | None,
    out: Path | None,
    by_rules: bool,
    aloud: bool,
) -> tuple[SessionReport, Path | None]:
    """Hold a session over a video file or before a camera; Ctrl-C ends it. `aloud` prints messages as they are said.

    The coach in use in the lake speaks; where there is none, or `by_rules` is set, the rules of the exercise do. With
    `out` (.mp4) the annotated video is written, and the report beside it as JSON and as a page. Returns the report,
    which says where a camera was lost, and the page.
    """
    if (video is None) == (camera is None):
        raise ValueError("name a video file, or a camera with --camera 0, and not both")
    if out is not None and (out.suffix != ".mp4" or (video is not None and out.exists() and out.samefile(video))):
        raise ValueError(f"--out is a new file that ends in .mp4, not {out}")
    who, rules, trained = speaker(lake, settings, exercise, by_rules)
    with _source(video, camera) as source:
        session = LiveSession(source, settings.poses, rules, trained)
        if aloud:
            _say(who)
        started_s = time.monotonic()
        with stopped_by_ctrl_c(session):
            moments = _aloud(session.moments()) if aloud else session.moments()
            if out is not None:
                write_timed_video(out, annotated(moments), _FPS)
            else:
                deque(moments, maxlen=0)
        report = report_on(session, str(video or f"camera {camera}"), who, time.monotonic() - started_s)
    return report, write_report(report, session, out) if out is not None else None


def speaker(
    lake: Lake, settings: Settings, exercise: str | None, by_rules: bool
) -> tuple[str, LiveRules, tuple[TrainedCoach, LiveTokens] | None]:
    """Who speaks in a session, in a sentence, and what `LiveSession` takes for it.

    Raises ValueError for an exercise without rules, and where nothing can say what is done.
    """
    who, trained = (_RULES, None) if by_rules else _trained(lake, settings)
    rules = LiveRules(exercise, _exercise_namer(lake, settings, exercise, needed=trained is None), settings.motion)
    return who, rules, trained


def _trained(lake: Lake, settings: Settings) -> tuple[str, tuple[TrainedCoach, LiveTokens] | None]:
    """Who speaks, in a sentence, and the lake's coach with what writes the motion for it; None where there is none."""
    release = in_use(lake, "coach")
    if release is None:
        return _NO_COACH, None
    from posellm_assets.coaching.streaming.coach import Coach
    from posellm_assets.motion.tokenizer import MotionTokenizer

    speaker = Coach.load(check_model(release.path(lake)))
    tokenizer = MotionTokenizer.load(lake.tokenizer(speaker.record.lineage))
    tokens = LiveTokens(tokenizer, settings.motion, speaker.record.delay_s)
    return _TRAINED.format(snapshot=release.name), (speaker, tokens)


def print_session(report: SessionReport, page: Path | None) -> None:
    """Print what was done and what was found, and how fast it went."""
    rows = [[one.name, _done(one), one.clean, _faults(one)] for one in report.exercises]
    print_table("exercises", ["exercise", "repetitions", "clean", "what to do better"], rows)
    if not rows:
        _say("No repetition was counted; --exercise says of what they are to be.")
    for one in report.exercises:
        if one.not_judged:
            _say(f"{one.name}: from where it was filmed it cannot be seen whether there is {', '.join(one.not_judged)}")
    if report.latency:
        _say(
            f"messages: {report.latency.messages}, {report.latency.median_s:.2f} s after the movement in the median, "
            f"{report.latency.p95_s:.2f} s in the 95th percentile"
        )
    _say(
        f"{report.duration_s:.1f} s, {report.seconds_per_second:.2f} s of it in a second; {report.frames} frames, "
        f"{report.dropped} dropped; somebody in view in {100 * report.person_in_view:.0f} %"
    )
    if page:
        _say(f"report: {page}")


def _done(exercise: Exercise) -> str:
    """How often it was done, and for how long where it is held."""
    return str(exercise.repetitions) + ("" if exercise.held_s is None else f", held for {exercise.held_s:.0f} s")


def _faults(exercise: Exercise) -> str:
    return "\n".join(fault_in_words(one, exercise.held_s is not None) for one in exercise.faults)


def fault_in_words(fault: ReportedFault, held: bool = False) -> str:
    """A fault as a sentence: "Too fast in repetitions 2 and 4, a minor fault."."""
    *first, last = map(str, fault.repetitions)
    numbers = f"{', '.join(first)} and {last}" if first else last
    what = "hold" if held else "repetition"
    side = f" ({fault.side})" if fault.side else ""
    article = "an" if fault.severity == "intermediate" else "a"
    return (
        f"{fault.fault[:1].upper()}{fault.fault[1:]}{side} in {what}{'s' if first else ''} {numbers}, "
        f"{article} {fault.severity} fault."
    )


def _aloud(moments: Iterator[Moment]) -> Iterator[Moment]:
    for moment in moments:
        if moment.remark:
            _say(f"{moment.remark.time_s:7.1f} s  {moment.remark.text}")
        yield moment


def _say(text: str) -> None:
    console.print(text, soft_wrap=True)


@contextmanager
def _source(video: Path | None, camera: str | None) -> Iterator[FrameSource]:
    if camera is not None:
        with Camera(camera) as opened:
            yield opened
        return
    assert video is not None
    try:
        source = Playback(video)
    except UnreadableVideo as error:
        raise ValueError(f"{video}: {error}") from error
    yield source


def _exercise_namer(lake: Lake, settings: Settings, exercise: str | None, needed: bool) -> NameExercise | None:
    """Who says what is being done: nobody where the user has said it, else the lake's recogniser.

    Raises ValueError for an exercise without rules, and where `needed` and nobody can say it.
    """
    if exercise is not None:
        if rules_of(exercise) is None:
            known = ", ".join(rules.exercise for rules in all_rules())
            raise ValueError(f"there are no rules for {exercise!r}, only for {known}")
        return None
    if in_use(lake, "recogniser") is None:
        if needed:
            raise ValueError(
                "say what is done, for instance --exercise squat: no recogniser of actions is in use here to tell it"
            )
        return None
    recogniser = recogniser_of(lake, settings)

    def name(motion: Motion) -> str | None:
        case = ActionClip(motion.start_s, motion.start_s + motion.duration_s, None, motion)
        (decision,) = recogniser.decide([case])
        is_one = decision is not None and decision.action != NONE and decision.confidence >= _SURE
        return decision.action if decision and is_one else None

    return name


@contextmanager
def stopped_by_ctrl_c(session: LiveSession) -> Iterator[None]:
    """Let Ctrl-C end the session with the frame that is looked at, in place of breaking off.

    A thread of a server, which gets no signals, leaves it to the server.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: session.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
