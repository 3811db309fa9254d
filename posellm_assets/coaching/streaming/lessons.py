"""Rows of sessions as what the network learns from: inputs, when to speak, what to say, what was said before.

Silence and speech are weighted against each other, as there are about twenty silent windows for each message and a
model that never speaks would otherwise be nearly right (VideoLLM-online, Chen et al., CVPR 2024, weighs its stream loss
for the same reason and answers with a threshold on the odds of silence; here validation sessions choose that
threshold).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from posellm_assets.coaching.streaming.config import StreamingConfig
from posellm_assets.coaching.streaming.inputs import bodies, described, disturbed, mirrored, recent
from posellm_assets.coaching.streaming.network import SILENT_S, CoachModel, Context
from posellm_assets.coaching.streaming.sessions import CoachedSession
from posellm_assets.texts.mirror import can_mirror, mirror_text

# A message may come so much earlier or later than the one of the reference; where in it the coach draws its breath is
# chance, and learning one window of it by heart would not help.
_SHIFT_S = 0.2
# Of so many rows what was said before is kept from the model, so that it does not rely on that alone.
_FORGETFUL = 0.2


@dataclass(frozen=True)
class SessionBatch:
    """Rows side by side, padded at the end; (B, T) unless said otherwise."""

    motion: torch.Tensor  # (B, T, K)
    context: Context
    speak: torch.Tensor  # 1 where a message begins
    message: torch.Tensor  # its number, 0 elsewhere
    weight: torch.Tensor  # of the window in the loss of speaking; 0 for padding


class Lessons:
    """Training and validation rows for one list of messages."""

    def __init__(self, texts: Sequence[str], config: StreamingConfig, fps: float, delay_s: float):
        self.texts, self.config, self.fps, self.delay_s = tuple(texts), config, fps, delay_s
        self._number = {text: number for number, text in enumerate(self.texts)}

    def drawn(self, rows: Sequence[CoachedSession], rng: np.random.Generator) -> SessionBatch:
        """Rows, augmented anew each time: mirrored, disturbed, messages a little earlier or later."""
        return _stacked([self._row(row, rng) for row in rows])

    def plain(self, rows: Sequence[CoachedSession]) -> SessionBatch:
        """Rows as they are; a message that training sessions never had is left out."""
        return _stacked([self._row(row, None) for row in rows])

    def _row(self, row: CoachedSession, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        joints, speeds = bodies(row.features, self.fps)
        texts = [message.text for message in row.messages]
        before = row.before.text if row.before else None
        times_s = np.array([message.time_s for message in row.messages])
        before_s = row.before.time_s if row.before else 0.0
        if rng is not None:
            if rng.random() < 0.5 and can_mirror(row.language):
                joints, speeds = mirrored(joints), mirrored(speeds)
                texts = [mirror_text(text, row.language) for text in texts]
                before = mirror_text(before, row.language) if before else None
            joints, speeds = disturbed(joints, speeds, rng)
            times_s = np.sort(times_s + rng.uniform(-_SHIFT_S, _SHIFT_S, len(times_s)))
        said = [
            (time_s, self._number[text]) for time_s, text in zip(times_s, texts, strict=True) if text in self._number
        ]
        last = (before_s, self._number[before]) if before in self._number else None
        targets = self._targets(row.end_s + self.delay_s, said, last)
        if rng is not None and rng.random() < _FORGETFUL:
            targets["last"][:], targets["since_s"][:] = len(self.texts), SILENT_S
        return {"motion": recent(described(joints, speeds), row.window_s(self.fps)), **targets}

    def _targets(
        self, clock_s: np.ndarray, said: Sequence[tuple[float, int]], last: tuple[float, int] | None
    ) -> dict[str, np.ndarray]:
        """`clock_s` (N,) is when each window is known; a message is due with the first window not before it."""
        count = len(clock_s)
        speak, message = np.zeros(count, np.float32), np.zeros(count, np.int64)
        weight = np.full(count, self.config.silence_weight, np.float32)
        before, since_s = np.full(count, len(self.texts)), np.full(count, SILENT_S, np.float32)
        if last:
            before[:], since_s[:] = last[1], clock_s - last[0]
        for time_s, number in said:
            due = int(np.searchsorted(clock_s, time_s))
            weight[(clock_s > time_s - self.config.slack_s) & (clock_s < time_s) & (speak == 0)] = 0
            if due < count:
                speak[due], message[due], weight[due] = 1, number, 1
                before[due + 1 :], since_s[due + 1 :] = number, clock_s[due + 1 :] - clock_s[due]
        return {"speak": speak, "message": message, "weight": weight, "last": before, "since_s": since_s}


def catalogue(rows: Sequence[CoachedSession]) -> list[str]:
    """All that a coach can say: the messages of the training rows, and those of their mirror images."""
    texts = {message.text for row in rows for message in row.messages}
    mirror = {mirror_text(one.text, row.language) for row in rows if can_mirror(row.language) for one in row.messages}
    return sorted(texts | mirror)


def summed_loss(model: CoachModel, batch: SessionBatch) -> torch.Tensor:
    """The loss over all windows of a batch: whether to speak, weighted, and which message where one is due."""
    speak, message, _ = model(batch.motion, batch.context)
    when = functional.binary_cross_entropy_with_logits(speak, batch.speak, batch.weight, reduction="sum")
    due = batch.speak > 0
    what = functional.cross_entropy(message[due], batch.message[due], reduction="sum")
    return when + what


def normalise(model: CoachModel, lessons: Lessons, rows: Sequence[CoachedSession]) -> None:
    """Set the scale of the inputs to that of the training rows."""
    parts = [recent(described(*bodies(row.features, lessons.fps)), row.window_s(lessons.fps)) for row in rows]
    inputs = torch.from_numpy(np.concatenate(parts))
    model.mean.copy_(inputs.mean(0))
    model.deviation.copy_(inputs.std(0).clamp(min=0.02))


def _stacked(rows: Sequence[dict[str, np.ndarray]]) -> SessionBatch:
    longest = max(len(row["speak"]) for row in rows)

    def padded(name: str) -> torch.Tensor:
        values = [row[name] for row in rows]
        widths = [[(0, longest - len(one)), *[(0, 0)] * (one.ndim - 1)] for one in values]
        return torch.from_numpy(np.stack([np.pad(one, width) for one, width in zip(values, widths, strict=True)]))

    context = Context(padded("last").long(), padded("since_s").float())
    return SessionBatch(padded("motion"), context, padded("speak"), padded("message"), padded("weight"))
