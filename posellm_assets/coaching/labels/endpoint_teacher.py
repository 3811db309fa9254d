"""A teacher behind an endpoint: it sees a sheet of frames and the measured facts, and answers in the label's schema.

Answers that were paid for are kept, by the content of everything that decided them, the useless ones too.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posellm_assets.coaching.labels.measurements import SIDES, MeasuredClip, Repetition
from posellm_assets.coaching.labels.overlays import CURRENT, GREEN, LIMB_END, RED, TARGET
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import MAX_POINTS, TeacherAnswer
from posellm_assets.coaching.labels.teachers import Answer, BrokenAnswer
from posellm_assets.endpoint import Endpoint, NotJson
from posellm_assets.files import read_json, write_json

SCHEMA = TeacherAnswer.model_json_schema()
JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = ", ".join(f"{joint} to {end}" for joint, end in LIMB_END.items())
PROMPT = f"""You are a coach who looks at one athlete. Say what to do better, from what you see and what was measured.
Give 1 to {MAX_POINTS} feedback points, the gravest first, or none where nothing is wrong, and then a positive note.
Every point is about one quantity of the list, with the value that was measured in the repetition in which it is worst,
and the target that it should have. Name LEFT or RIGHT first in the script where the quantity has a side. Say no number
that was not measured. mistake_timestamp_ms lies in that repetition; repetitions lists all that show the mistake.
overlay_type is ANGLE_CORRECTION wherever the quantity has a joint: exactly two vectors that start at that joint,
{CURRENT} ({RED}) to the end of its limb and {TARGET} ({GREEN}) to where that end should be. Limbs go from
{LIMBS}. For a quantity without a joint it is POINT_HIGHLIGHT with a focus_point on the hips and no vectors.
Coordinates are shares of the picture's width and height, y down."""


class EndpointTeacher:
    """Labels clips by asking a model, each question once."""

    def __init__(self, endpoint: Endpoint, cache: "AnswerCache"):
        self.endpoint, self.cache = endpoint, cache

    @property
    def name(self) -> str:
        """The model and where it is served."""
        return self.endpoint.config.name

    def teach(self, clip: MeasuredClip) -> Answer:
        """What the model says. Raises BrokenAnswer where that is no label, EndpointError where it gives no answer."""
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": [{"type": "text", "text": facts(clip)}, *_picture(clip.sheet)]},
        ]
        asked = [PROMPT, facts(clip)]
        try:
            answer = self.cache.ask(
                clip.sheet, asked, SCHEMA, self.name, lambda: self.endpoint.ask(messages, SCHEMA, "coaching_label")
            )
        except NotJson as error:
            raise BrokenAnswer(str(error), error.text) from error
        return _answer(answer)


def _answer(answer: Any) -> Answer:
    if not isinstance(answer, dict) or not isinstance(answer.get("feedback_points"), list):
        raise BrokenAnswer("the answer has no list of feedback_points", answer)
    note = answer.get("positive_note")
    return Answer(note if isinstance(note, str) else "", tuple(answer["feedback_points"]))


def facts(clip: MeasuredClip) -> str:
    """What was measured, in words and numbers: quantities and joints of every repetition."""
    rules = rules_of(clip.exercise)
    repetitions = repetitions_of(clip, rules) if rules else []
    lines = [
        f"Exercise: {clip.exercise or 'not known'}. Duration: {clip.duration_s:.2f} s. "
        f"Repetitions found: {len(repetitions)}.",
        "Quantities (unit; of which joint): what it is",
        *(f"- {name} ({one.unit}; {one.joint or 'whole body'}): {one.means}" for name, one in QUANTITIES.items()),
    ]
    for one in repetitions or [clip.around(clip.duration_s / 2)]:
        lines.append(
            f"Repetition {one.number}, {one.start_s:.2f} to {one.end_s:.2f} s, farthest at {one.peak_s:.2f} s:"
        )
        lines += [*_quantities(clip, one), f"  joints at {one.peak_s:.2f} s: {_joints(clip, one.peak_s)}"]
    return "\n".join(lines)


def _quantities(clip: MeasuredClip, repetition: Repetition) -> list[str]:
    lines = []
    for name, quantity in QUANTITIES.items():
        values = [(side, measure_quantity(clip, name, side, repetition)) for side in quantity.sides]
        told = ", ".join(f"{side or 'all'} {round(value, 3):g}" for side, value in values if value is not None)
        if told and (repetition.number or name != "repetition_s"):
            lines.append(f"  {name}: {told}")
    return lines


def _joints(clip: MeasuredClip, time_s: float) -> str:
    places = [(side, joint, clip.landmark(joint, side, time_s)) for side in SIDES for joint in JOINTS]
    return ", ".join(f"{side} {joint} ({at[0]:.3f}, {at[1]:.3f})" for side, joint, at in places if at)


def _picture(sheet: bytes) -> list[dict[str, Any]]:
    if not sheet:
        return []
    url = f"data:image/jpeg;base64,{base64.b64encode(sheet).decode()}"
    return [{"type": "image_url", "image_url": {"url": url}}]


class AnswerCache:
    """One JSON file per answer in `folder`, named by the hash of frames, prompt, schema and teacher."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.hits = 0

    def ask(self, frames: bytes, prompt: Any, schema: Any, teacher: str, ask: Callable[[], Any]) -> Any:
        """The kept answer, or that of `ask()`, which is then kept.

        An answer that was not JSON is kept as well and raises NotJson again. Where nothing was answered (a time-out, a
        refusal), nothing is kept.
        """
        path = self.folder / f"{answer_hash(frames, prompt, schema, teacher)}.json"
        if path.exists():
            self.hits += 1
            kept = read_json(path)
        else:
            try:
                kept = {"teacher": teacher, "answer": ask()}
            except NotJson as error:
                kept = {"teacher": teacher, "not_json": str(error), "said": error.text}
            write_json(path, kept)
        if "not_json" in kept:
            raise NotJson(kept["not_json"], kept["said"])
        return kept["answer"]


def answer_hash(frames: bytes, prompt: Any, schema: Any, teacher: str) -> str:
    """The sha256 of everything that decides an answer, in hex."""
    parts = {
        "frames": hashlib.sha256(frames).hexdigest(),
        "prompt": prompt,
        "schema": schema,
        "teacher": teacher,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
