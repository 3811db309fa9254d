"""What happened in a session, as JSON and as a page: what was done, what was said and how late, and what was found."""

import base64
from pathlib import Path

import numpy as np

from posellm_assets.coaching.labels.quantities import QUANTITIES, said
from posellm_assets.coaching.labels.schema import SEVERITIES, Severity, Side
from posellm_assets.coaching.live.curves import Chart, charts
from posellm_assets.coaching.live.measured import MeasuredRepetition
from posellm_assets.coaching.live.rules import Counted
from posellm_assets.coaching.live.session import LiveSession, Remark
from posellm_assets.files import write_bytes, write_json
from posellm_assets.records import Record
from posellm_assets.reports.html import filled

SCHEMA_VERSION = 2


class Said(Record):
    """A message, when it was said, and how long after the end of the movement that it is about (s), if it is of one."""

    time_s: float
    text: str
    latency_s: float | None
    fault: str | None
    side: Side | None
    severity: Severity | None


class ReportedFault(Record):
    """A fault of an exercise: in which repetitions, how bad at worst, and what was measured then."""

    fault: str
    side: Side | None
    severity: Severity
    repetitions: tuple[int, ...]
    value: float
    target: float
    unit: str


class DoneRepetition(Record):
    """A repetition, or a time for which something was held: when, what was measured, and what was wrong with it."""

    number: int
    start_s: float
    end_s: float
    faults: tuple[str, ...]
    measured: MeasuredRepetition


class Exercise(Record):
    """One exercise: its repetitions, how many of them were clean, and the faults by how bad they are.

    `held_s` is for how long it was held in all where it is not repeated (s). `not_judged` are the faults that could
    not be seen in any repetition from where it was filmed.
    """

    name: str
    start_s: float
    end_s: float
    repetitions: int
    held_s: float | None
    clean: int
    faults: tuple[ReportedFault, ...]
    not_judged: tuple[str, ...]
    done: tuple[DoneRepetition, ...]


class Latency(Record):
    """How long after the end of a movement its messages came (s)."""

    messages: int
    median_s: float
    p95_s: float


class SessionReport(Record):
    """A session. `ended` is why it ended early; of footage `duration_s` long, `seconds_per_second` were worked off."""

    schema_version: int = SCHEMA_VERSION
    source: str
    coach: str
    ended: str | None
    duration_s: float
    seconds_per_second: float
    frames: int
    dropped: int
    person_in_view: float
    exercises: tuple[Exercise, ...]
    messages: tuple[Said, ...]
    latency: Latency | None


def report_on(session: LiveSession, source: str, coach: str, clock_s: float) -> SessionReport:
    """The report on a session that is over; `clock_s` is what it took by the clock."""
    late_s = [late for remark in session.remarks if (late := remark.latency_s) is not None]
    return SessionReport(
        source=source,
        coach=coach,
        ended=session.lost,
        duration_s=round(session.duration_s, 3),
        seconds_per_second=round(session.duration_s / clock_s, 3),
        frames=session.frames,
        dropped=session.source.dropped,
        person_in_view=round(session.frames_with_person / max(session.frames, 1), 3),
        exercises=tuple(_exercise(name, session.rules.counted) for name in _names(session.rules.counted)),
        messages=tuple(_said(remark) for remark in session.remarks),
        latency=Latency(
            messages=len(late_s),
            median_s=round(float(np.median(late_s)), 3),
            p95_s=round(float(np.percentile(late_s, 95)), 3),
        )
        if late_s
        else None,
    )


def write_report(report: SessionReport, session: LiveSession, video: Path) -> Path:
    """Write `<video>.json` and the page `<video>.html` beside the annotated video; returns the page."""
    write_json(video.with_suffix(".json"), report.model_dump(mode="json"))
    write_bytes(video.with_suffix(".html"), page_of(report, session, video.name).encode())
    return video.with_suffix(".html")


def page_of(report: SessionReport, session: LiveSession, video: str | None) -> str:
    """The page of a session, beside the annotated `video` where there is one."""
    stills = [base64.b64encode(remark.still).decode() if remark.still else None for remark in session.remarks]
    return filled(
        __package__,
        "report.html",
        report=report,
        video=video,
        messages=list(zip(report.messages, stills, strict=True)),
        said=said,
        charts=[_charts(one) for one in report.exercises],
        means={name: quantity.means for name, quantity in QUANTITIES.items()},
    )


def _charts(exercise: Exercise) -> list[Chart]:
    return charts([(one.number, one.end_s - one.start_s, bool(one.faults), one.measured) for one in exercise.done])


def _names(counted: list[Counted]) -> list[str]:
    """The exercises in the order in which they began."""
    return list(dict.fromkeys(one.exercise for one in counted))


def _exercise(name: str, counted: list[Counted]) -> Exercise:
    own = [one for one in counted if one.exercise == name]
    found: dict[tuple[str, Side | None], list[tuple[int, ReportedFault]]] = {}
    for one in own:
        for point in one.points:
            fault = ReportedFault(
                fault=point.fault,
                side=point.side,
                severity=point.severity,
                repetitions=(),
                value=point.measured.value,
                target=point.measured.target,
                unit=point.measured.unit,
            )
            found.setdefault((point.fault, point.side), []).append((one.number, fault))
    worst = []
    for group in found.values():
        _, fault = min(group, key=lambda one: SEVERITIES.index(one[1].severity))
        worst.append(fault.model_copy(update={"repetitions": tuple(number for number, _ in group)}))
    return Exercise(
        name=name,
        start_s=own[0].start_s,
        end_s=own[-1].end_s,
        repetitions=len(own),
        held_s=round(sum(one.end_s - one.start_s for one in own), 1) if own[0].held else None,
        clean=sum(not one.points for one in own),
        faults=tuple(sorted(worst, key=lambda one: (SEVERITIES.index(one.severity), -len(one.repetitions)))),
        not_judged=tuple(sorted(set.intersection(*(set(one.unseen) for one in own)))),
        done=tuple(_done(one) for one in own),
    )


def _done(one: Counted) -> DoneRepetition:
    return DoneRepetition(
        number=one.number,
        start_s=round(one.start_s, 3),
        end_s=round(one.end_s, 3),
        faults=tuple(dict.fromkeys(point.fault for point in one.points)),
        measured=one.measured,
    )


def _said(remark: Remark) -> Said:
    return Said(
        time_s=round(remark.time_s, 3),
        text=remark.text,
        latency_s=None if remark.latency_s is None else round(remark.latency_s, 3),
        fault=remark.point.fault if remark.point else None,
        side=remark.point.side if remark.point else None,
        severity=remark.point.severity if remark.point else None,
    )
