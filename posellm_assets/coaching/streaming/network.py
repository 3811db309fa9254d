"""The network of the streaming coach: a recurrent one that reads window after window and its own last words."""

from dataclasses import dataclass

import torch
from torch import nn

_WORDS_SIZE = 16
SILENT_S = 30.0  # silence that lasts longer than this counts as this


@dataclass(frozen=True)
class Context:
    """What was said last before each window.

    last: (B, T) int64, the number of the message, the number of messages where there was none; since_s: (B, T) seconds.
    """

    last: torch.Tensor
    since_s: torch.Tensor


class CoachModel(nn.Module):
    """For each window: the odds of speaking now, and which message it would be.

    A gated recurrent unit (Cho et al. 2014), so that a window costs the same however long the session is.
    """

    def __init__(self, inputs: int, messages: int, hidden_size: int, dropout: float):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.words = nn.Embedding(messages + 1, _WORDS_SIZE)
        self.read = nn.Sequential(
            nn.Linear(inputs + _WORDS_SIZE + 1, hidden_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
        )
        self.memory = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.speak = nn.Linear(hidden_size, 1)
        self.message = nn.Linear(hidden_size, messages)

    def forward(
        self, motion: torch.Tensor, context: Context, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of speaking (B, T), of each message (B, T, M), and the state (1, B, H) after the last window.

        motion: (B, T, K) as `coach_inputs.described` gives it.
        """
        known = (motion - self.mean) / self.deviation
        since = context.since_s.clamp(max=SILENT_S)[..., None] / SILENT_S
        read = self.read(torch.cat([known, self.words(context.last), since], dim=-1))
        heard, state = self.memory(read, state)
        heard = self.drop(heard)
        return self.speak(heard)[..., 0], self.message(heard), state
