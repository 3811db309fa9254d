"""The coach that watches: window after window of live motion in, now and then a message out."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save

from posellm_assets.coaching.streaming.inputs import bodies, described, look_back, recent
from posellm_assets.coaching.streaming.network import SILENT_S, CoachModel, Context
from posellm_assets.coaching.streaming.scores import Message
from posellm_assets.coaching.streaming.sessions import CoachedSession
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.motion.live import LiveWindow
from posellm_assets.records import Record

RECORD, WEIGHTS = "coach.json", "coach.safetensors"
# A message that is this much less likely than the best one is not said in its place.
_LEAST_SHARE = 0.1


class CoachRecord(Record):
    """What `coach.json` holds."""

    messages: list[str]
    inputs: int
    hidden_size: int
    threshold: float
    cooldown_s: float
    no_repeat_s: float
    fps: float
    delay_s: float
    """Of `LiveTokens`: a window is known so long after its end."""
    lineage: str
    """The tokenizer that the windows came from."""


class Coach:
    """Speaks where its odds of speaking pass the threshold, after a cooldown, and in other words than just before."""

    def __init__(self, model: CoachModel, record: CoachRecord):
        self.model, self.record = model.eval(), record
        self.begin()

    @classmethod
    def load(cls, folder: Path) -> "Coach":
        """Read a finished coach. Raises FileNotFoundError where there is none, ValueError where it is damaged."""
        record = CoachRecord.model_validate(read_json(folder / RECORD))
        model = CoachModel(record.inputs, len(record.messages), record.hidden_size, 0.0)
        try:
            model.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{folder / WEIGHTS} does not fit {RECORD} ({error}); train the coach again") from error
        return cls(model, record)

    def save(self, folder: Path) -> None:
        """Write `coach.safetensors` and, last, `coach.json`."""
        write_bytes(folder / WEIGHTS, save({name: one.contiguous() for name, one in self.model.state_dict().items()}))
        write_json(folder / RECORD, json.loads(self.record.model_dump_json()))

    def at(self, threshold: float) -> "Coach":
        """The same coach with another threshold."""
        return Coach(self.model, self.record.model_copy(update={"threshold": threshold}))

    def begin(self) -> None:
        """Forget what was seen and said: a new session."""
        self._state: torch.Tensor | None = None
        self._seen: list[np.ndarray] = []  # the measures of the last windows
        self._said: list[tuple[float, int]] = []  # time, number of the message

    def hear(self, window: LiveWindow) -> Message | None:
        """What to say now that a window is known, at the time at which it is; None is silence."""
        window_s = len(window.features) / self.record.fps
        self._seen.append(described(*bodies(window.features[None], self.record.fps))[0])
        self._seen = self._seen[-look_back(window_s) :]
        return self._step(recent(np.stack(self._seen), window_s)[-1], window.end_s)

    def hear_all(self, session: CoachedSession) -> tuple[Message, ...]:
        """All that it says in a session, from the beginning."""
        self.begin()
        inputs = recent(described(*bodies(session.features, self.record.fps)), session.window_s(self.record.fps))
        said = (self._step(row, float(end_s)) for row, end_s in zip(inputs, session.end_s, strict=True))
        return tuple(message for message in said if message)

    @torch.inference_mode()
    def _step(self, inputs: np.ndarray, end_s: float) -> Message | None:
        record, now_s = self.record, end_s + self.record.delay_s
        last_s, last = self._said[-1] if self._said else (-np.inf, len(record.messages))
        context = Context(torch.tensor([[last]]), torch.tensor([[min(now_s - last_s, SILENT_S)]], dtype=torch.float32))
        speak, message, self._state = self.model(torch.from_numpy(inputs)[None, None], context, self._state)
        if now_s - last_s < record.cooldown_s or float(torch.sigmoid(speak)) < record.threshold:
            return None
        number = self._words(message[0, 0].softmax(-1).numpy(), now_s)
        if number is None:
            return None
        self._said = [one for one in self._said if now_s - one[0] < record.no_repeat_s] + [(now_s, number)]
        return Message(now_s, record.messages[number])

    def _words(self, likely: np.ndarray, now_s: float) -> int | None:
        """The likeliest message that was not said lately; None where only those fit."""
        fresh = likely.copy()
        fresh[[number for time_s, number in self._said if now_s - time_s < self.record.no_repeat_s]] = 0.0
        best = int(fresh.argmax())
        return best if fresh[best] >= _LEAST_SHARE * likely.max() else None
