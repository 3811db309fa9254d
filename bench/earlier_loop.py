"""The training loop of an earlier system of motion language models, rebuilt from its description to compare with.

What it does differently: a chat with a long system prompt around every example, a space between motion codes that is
trained on as if it were one, padded batches in float32, logits for every position, tasks drawn once and for all, no
augmented views, and a third stage of text-to-motion alone. The base model, its learning rate and its budget are ours,
and its text tokenizer has learned the system prompt, so that the prompt costs few tokens.
"""

import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from posellm_assets.language import models
from posellm_assets.language.config import TinyConfig
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer

SYSTEM = """You are an assistant that writes human motion as motion tokens and describes motion tokens in words.
Rules:
1. When you are asked for motion, answer only with one motion span that starts with MOT_BEGIN and ends with MOT_END.
2. Obey the task marker: T2M asks for motion from text, M2T asks for text from motion, DENOISE asks for repaired motion.
3. When a participant is named, write the motion in the manner of that participant.
4. When you are asked for text, answer only with a short description and never with motion tokens.
5. Do not repeat the question, do not explain your answer and do not add anything to it.
6. Choose a realistic length for the motion that is asked for."""
STAGES: tuple[tuple[dict[str, float], float], ...] = (
    ({"motion": 1.0}, 0.25),
    ({"t2m": 0.5, "m2t": 0.3, "denoise": 0.2}, 0.35),
    ({"t2m": 1.0}, 0.40),
)
_TURN, _END_TURN = "<|im_start|>", "<|im_end|>"
_BATCH = 8
_MASK_RATE = 0.15
_IGNORE = -100


@dataclass(frozen=True)
class Speed:
    """What a stage got done in its CPU seconds. Useful tokens are those of examples, padding not counted."""

    cpu_s: float
    steps: int
    useful_tokens: int
    motion_labels: int


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    labels: list[int]


class EarlierLoop:
    """A model trained in that way on (codes, text) pairs."""

    def __init__(self, pairs: Sequence[tuple[Sequence[int], str]], codebook_size: int, tiny: TinyConfig, seed: int):
        self.pairs, self.seed = pairs, seed
        tokenizer = tiny_tokenizer({text for _, text in pairs} | {SYSTEM}, tiny.text_tokens)
        tokenizer.add_tokens([_TURN, _END_TURN], special_tokens=True)
        self.vocabulary = Vocabulary(tokenizer, codebook_size)
        self.turn, self.end_turn = tokenizer.convert_tokens_to_ids([_TURN, _END_TURN])
        self.space = self.vocabulary.encode_text(" ")
        self.motion_ids = torch.zeros(len(self.vocabulary), dtype=torch.bool)
        self.motion_ids[self.vocabulary.codes] = True
        with tempfile.TemporaryDirectory() as folder:
            models.build_tiny(tiny, self.vocabulary, seed, Path(folder))
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def train(self, cpu_s: float, learning_rate: float) -> list[Speed]:
        """Train the three stages for `cpu_s` seconds of process time in all, with the project's warm-up and cosine."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate, weight_decay=0.1, betas=(0.9, 0.98))
        speeds, spent_s = [], 0.0
        for number, (tasks, part) in enumerate(STAGES):
            choose = random.Random(f"{self.seed}/{number}")
            rows = [self._example(choose.choices(*zip(*tasks.items(), strict=True))[0], *p, choose) for p in self.pairs]
            speeds.append(self._stage(rows, cpu_s * part, choose, optimizer, (spent_s, cpu_s, learning_rate)))
            spent_s += speeds[-1].cpu_s
        return speeds

    @torch.no_grad()
    def nll_per_code(self, pairs: Sequence[tuple[Sequence[int], str]]) -> float:
        """Nats for codes and end over the number of codes, given the text; the spaces are not counted against it."""
        self.model.eval()
        total, count = 0.0, 0
        wanted = self.motion_ids.clone()
        wanted[self.vocabulary.end] = True
        for codes, text in pairs:
            row = self._example("t2m", codes, text, random.Random(0))
            scores = self.model(torch.tensor([row.ids])).logits[0, :-1]
            labels = torch.tensor(row.labels[1:])
            counted = (labels != _IGNORE) & wanted[labels.clamp(min=0)]
            total += float(functional.cross_entropy(scores[counted], labels[counted], reduction="sum"))
            count += len(codes)
        return total / count

    def _stage(
        self, rows: list[_Row], budget_s: float, choose: random.Random, optimizer: Any, progress: tuple[float, ...]
    ) -> Speed:
        spent_s, whole_s, learning_rate = progress
        began_s, steps, useful, motion = time.process_time(), 0, 0, 0
        order: list[_Row] = []
        self.model.train()
        while (here_s := time.process_time() - began_s) < budget_s:
            if not order:
                order = choose.sample(rows, len(rows))
            batch, order = order[:_BATCH], order[_BATCH:]
            done = min(1.0, (spent_s + here_s) / whole_s)
            for group in optimizer.param_groups:
                group["lr"] = (
                    learning_rate * min(1.0, (done + 1e-3) / 0.05) * (0.525 + 0.475 * math.cos(math.pi * done))
                )
            longest = max(len(row.ids) for row in batch)
            ids = torch.tensor([row.ids + [self.vocabulary.pad] * (longest - len(row.ids)) for row in batch])
            labels = torch.tensor([row.labels + [_IGNORE] * (longest - len(row.ids)) for row in batch])
            attention = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in batch])
            self.model(input_ids=ids, attention_mask=attention, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
            useful += int(attention.sum())
            motion += int(self.motion_ids[labels[labels != _IGNORE]].sum())
        return Speed(time.process_time() - began_s, steps, useful, motion)

    def _example(self, task: str, codes: Sequence[int], text: str, choose: random.Random) -> _Row:
        words, encode = self.vocabulary, self.vocabulary.encode_text
        motion = self._span(words.encode_codes(codes))
        answer = encode(text) if task == "m2t" else motion
        if task == "m2t":
            asked = [words.m2t, *motion]
        elif task == "denoise":
            hidden = [words.mask if choose.random() < _MASK_RATE else token for token in words.encode_codes(codes)]
            asked = [words.denoise, *self._span(hidden)]
        else:
            asked = [words.t2m, *(encode(text) if task == "t2m" else [])]
        prompt = [self.turn, *encode("system\n" + SYSTEM), self.end_turn, *encode("\n")]
        prompt += [self.turn, *encode("user\n"), *asked, self.end_turn, *encode("\n")]
        prompt += [self.turn, *encode("assistant\n")]
        # Of motion the span is labelled, of text the whole turn.
        labels = [_IGNORE] * len(prompt) + answer + [self.end_turn if task == "m2t" else _IGNORE]
        return _Row([*prompt, *answer, self.end_turn], labels)

    def _span(self, tokens: list[int]) -> list[int]:
        """Begin, tokens and end with a space between any two."""
        spaced = [part for token in tokens for part in (*self.space, token)]
        return [self.vocabulary.begin, *spaced, *self.space, self.vocabulary.end]
