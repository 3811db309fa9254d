"""Measures a streaming coach on held-out sessions: `python -m posellm_assets.coaching.streaming.report JOB.json`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets.coaching.streaming.coach import Coach
from posellm_assets.coaching.streaming.config import StreamingReportJob
from posellm_assets.coaching.streaming.scores import (
    Session,
    chatter,
    manners,
    match_best,
    match_greedily,
    random_times,
    silence,
    timed_f,
)
from posellm_assets.coaching.streaming.sessions import (
    CoachedSession,
    UnusableSessions,
    read_dataset_record,
    read_sessions,
)
from posellm_assets.coaching.streaming.text_meters import BertModel
from posellm_assets.coaching.streaming.texts import TextFigures, text_figures
from posellm_assets.coaching.streaming.timing import decide, heard, timed_figure
from posellm_assets.endpoint import Endpoint
from posellm_assets.files import write_bytes, write_json
from posellm_assets.lake import METRICS, PAGE
from posellm_assets.motion.live import LiveWindow
from posellm_assets.program import Report, run_program
from posellm_assets.reports.html import filled
from posellm_assets.reports.rendered import about_rendered
from posellm_assets.reports.tables import bounds

COACH, RIVAL = "this coach", "the coach in use"
_SHOWN = 8  # sessions on the page
_TIMED_WINDOWS = 500


def evaluate(job: StreamingReportJob, report: Report) -> dict[str, Any]:
    """Write `metrics.json` and `index.html` to `job.out`; returns the metrics.

    Raises UnusableSessions where the split has no session with a message.
    """
    record = read_dataset_record(job.dataset)
    sessions = [session for session in read_sessions(job.dataset, record, job.split) if session.messages]
    if not sessions:
        raise UnusableSessions(f"{job.dataset} has no {job.split} session with feedback; add ones of more participants")
    coach = Coach.load(job.coach)
    own = [heard(coach, session) for session in sessions]
    fit = read_sessions(job.dataset, record, "train")
    baselines = baselines_of(own, fit, job.seed)
    rival = [heard(Coach.load(job.rival.folder), session) for session in sessions] if job.rival else None
    outcome = decide(own, baselines, rival, job.rival.name if job.rival else None)
    speakers = {COACH: own, **({RIVAL: rival} if rival else {}), **baselines}
    participants = {one.participant for one in record.sessions if one.split == job.split and one.participant}
    metrics: dict[str, Any] = {
        "split": job.split,
        "sessions": len(sessions),
        "rendered": sum(session.key in job.rendered for session in sessions),
        "participants": len(participants),
        "minutes": sum(session.duration_s for session in sessions) / 60,
        "references": sum(len(session.messages) for session in sessions),
        "speakers": {name: measured(answers, job.seed) for name, answers in speakers.items()},
        "texts": {name: _texts(found) for name, found in _text_figures(speakers, job).items()},
        "latency": {"delay_s": coach.record.delay_s, **model_ms(coach, sessions)},
        "decision": outcome.model_dump(mode="json"),
        "refused": record.refused,
        "provenance": {
            "coach": str(job.coach),
            "dataset": str(job.dataset),
            "threshold": coach.record.threshold,
            "lineage": record.lineage,
            "seed": job.seed,
        },
    }
    write_json(job.out / METRICS, metrics)
    shown = list(zip([session.key for session in sessions], own, strict=True))[:_SHOWN]
    write_bytes(job.out / PAGE, render(metrics, shown).encode())
    figures = metrics["speakers"][COACH]
    report(
        f"{job.split}: T-F-Score {figures['published']['value']:.3f} published, {figures['optimal']['value']:.3f} "
        f"optimal on {len(sessions)} sessions; {'' if outcome.promote else 'not '}to be promoted"
    )
    return metrics


def baselines_of(answers: Sequence[Session], fit: Sequence[CoachedSession], seed: int) -> dict[str, list[Session]]:
    """Silence, chatter and random times on the same sessions; the words and their rate are those of training."""
    texts = sorted({message.text for session in fit for message in session.messages})
    minutes = sum(session.duration_s for session in fit) / 60
    per_minute = sum(len(session.messages) for session in fit) / minutes
    return {
        "silence": [silence(one) for one in answers],
        "constant chatter": [chatter(one, texts[0]) for one in answers],
        "random times": [random_times(one, texts, per_minute, seed + place) for place, one in enumerate(answers)],
    }


def measured(answers: Sequence[Session], seed: int) -> dict[str, Any]:
    """T-F-Score both ways with intervals and parts, and how it speaks."""
    optimal = timed_f(answers, match_best)
    return {
        "published": timed_figure(answers, match_greedily, seed).model_dump(),
        "optimal": timed_figure(answers, match_best, seed).model_dump(),
        "precision": optimal.precision,
        "recall": optimal.recall,
        "said": optimal.said,
        "manners": asdict(manners(answers)),
    }


def _text_figures(speakers: Mapping[str, Sequence[Session]], job: StreamingReportJob) -> dict[str, TextFigures]:
    given = job.text_metrics
    bert = BertModel(given.bert_model, given.bert_layer) if given.bert_model else None
    ledger = Path(job.ledger) if job.ledger else None
    return text_figures(speakers, bert, Endpoint(given.judge, ledger) if given.judge else None)


def _texts(found: TextFigures) -> dict[str, Any]:
    figures = {name: figure.model_dump() for name, figure in found.figures.items()}
    return {"figures": figures, "absent": found.absent, "settings": found.settings}


def model_ms(coach: Coach, sessions: Sequence[CoachedSession]) -> dict[str, float]:
    """CPU time that the coach thinks about a window, in ms: median and 95th percentile over windows as they come."""
    torch.set_num_threads(1)
    coach.begin()
    spent: list[float] = []
    session = max(sessions, key=lambda one: len(one.start_s))
    rows = zip(session.start_s.tolist(), session.end_s.tolist(), session.codes.tolist(), session.features, strict=True)
    for start_s, end_s, codes, features in list(rows)[:_TIMED_WINDOWS]:
        began = time.process_time()
        coach.hear(LiveWindow(start_s, end_s, tuple(codes), features))
        spent.append(1000 * (time.process_time() - began))
    return {
        "windows": len(spent),
        "median_ms": float(np.median(spent)),
        "p95_ms": float(np.percentile(spent, 95)),
    }


def render(metrics: Mapping[str, Any], shown: Sequence[tuple[str, Session]]) -> str:
    """The page of `metrics`, with what was said and should have been said in a few sessions."""
    return filled(
        __package__,
        "report.html",
        metrics=metrics,
        rendered=about_rendered(metrics["rendered"], metrics["sessions"]),
        rows=[_row(name, figures) for name, figures in metrics["speakers"].items()],
        measures=_MEASURES,
        words=[(name, [_cell(texts, key) for key, _ in _MEASURES]) for name, texts in metrics["texts"].items()],
        absent={reason for texts in metrics["texts"].values() for reason in texts["absent"].values()},
        sessions=[_timeline(key, session) for key, session in shown],
    )


def _row(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    way = figures["manners"]
    return {
        "name": name,
        "f": [(f"{figures[kind]['value']:.3f}", bounds(figures[kind], False)) for kind in ("published", "optimal")],
        "cells": [
            f"{figures['precision']:.2f}",
            f"{figures['recall']:.2f}",
            f"{way['messages_per_minute']:.1f}",
            f"{way['false_alarms_per_minute']:.1f}",
            *("–" if way[key] is None else f"{way[key]:{form}}" for key, form in _MANNERS),
        ],
    }


_MANNERS = (("repetition_rate", ".2f"), ("median_delay_s", "+.2f"), ("p95_delay_s", "+.2f"))


# Both ways of each metric of words: over matched pairs as published, and over all references.
_MEASURES = tuple(
    (f"{name}_{way}", f"{title}, {words}")
    for name, title in (
        ("rouge_l", "ROUGE-L"),
        ("meteor", "METEOR"),
        ("bertscore", "BERTScore"),
        ("llm_acc", "LLM-Acc"),
    )
    for way, words in (("published", "matched pairs"), ("covered", "all references"))
)


def _cell(texts: Mapping[str, Any], key: str) -> tuple[str, str]:
    figure = texts["figures"].get(key)
    return (f"{figure['value']:.2f}", bounds(figure, False)) if figure else ("–", "")


def _timeline(key: str, session: Session) -> dict[str, Any]:
    pairs = match_best(session.references, session.said)
    matched = ({reference for reference, _ in pairs}, {place for _, place in pairs})
    lines = []
    for messages, hit in zip((session.references, session.said), matched, strict=True):
        lines.append(
            [
                {
                    "x": round(100 * one.time_s / session.duration_s, 2),
                    "hit": number in hit,
                    "title": f"{one.time_s:.1f} s: {one.text}",
                }
                for number, one in enumerate(messages)
            ]
        )
    return {"key": key, "duration_s": session.duration_s, "references": lines[0], "said": lines[1]}


if __name__ == "__main__":
    run_program("report on the streaming coach", StreamingReportJob, evaluate)
