"""The four trainings, small, behind one face: what the suite over the loop asks of each."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.program import Report
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.coaching import coached
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.motion.people import write_people
from posellm_assets_tests.unit.vision import models

HF = Backend("hf", "asked for")
STEPS = 12
Stop = Callable[[], bool]
Losses = list[dict[str, Any]]


@dataclass(frozen=True)
class Training:
    """One kind of training: how a job is made and run, and where settings stand in it."""

    name: str
    program: str
    make: Callable[[Path, str, dict[str, Any]], BaseModel]
    """A job in a folder, under a name, with changes to its settings (those of the learning rate and the like)."""
    settings: str
    """Field of the job that holds these settings."""
    rate: str
    """Name of the learning rate in the identity."""
    slower: dict[str, Any]
    """What takes less memory and gives the same step."""
    loss: tuple[str, str]
    """(module, name) of the function that gives a batch's loss."""
    calls_a_step: int = 1

    def job(self, folder: Path, name: str, hub: str | None = None, **changes: Any) -> Any:
        """A job of `STEPS` steps."""
        return self.make(folder, name, changes).model_copy(update={"hub": hub})

    def changed(self, job: Any, **changes: Any) -> Any:
        """The same job with other settings."""
        settings = getattr(job, self.settings)
        return job.model_copy(update={self.settings: settings.model_validate(settings.model_dump() | changes)})

    def train(self, job: Any, say: Report | None = None, stop: Stop = lambda: False) -> dict[str, Any]:
        """Run the training here."""
        train = importlib.import_module(self.program).train
        backend = (HF,) if self.name in ("language", "vision") else ()
        result: dict[str, Any] = train(job, *backend, say or (lambda message: None), stop)
        return result

    def start(self, job: Any) -> "subprocess.Popen[str]":
        """Run the program in a process of its own."""
        path = job.out.parent / f"{job.out.name}.json"
        path.write_text(job.model_dump_json())
        return subprocess.Popen(
            [sys.executable, "-m", self.program, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @contextmanager
    def overflowing(self, at: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """The loss of step `at`, counted from where training now begins, overflows, as that of too large weights."""
        module, name = self.loss
        owner: Any = importlib.import_module(module)
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part)
        whole, calls = getattr(owner, name.split(".")[-1]), [0]
        first = (at - 1) * self.calls_a_step + 1

        def overflow(*arguments: Any) -> Any:
            calls[0] += torch.is_grad_enabled()  # evaluations call it too
            return _scaled(whole(*arguments), float("inf") if calls[0] == first and torch.is_grad_enabled() else 1.0)

        with patch.context() as here:
            here.setattr(owner, name.split(".")[-1], overflow)
            yield


def _scaled(value: Any, factor: float) -> Any:
    return value * factor if isinstance(value, torch.Tensor) else (value[0] * factor, *value[1:])


def weights(job: Any) -> dict[str, bytes]:
    """The finished model's weights, by file."""
    return {path.relative_to(job.out).as_posix(): path.read_bytes() for path in job.out.glob("final/**/*.safetensors")}


def losses(job: Any) -> list[tuple[int, float, float, float]]:
    """(step, loss, learning rate, gradient norm) of each step."""
    lines: Losses = [json.loads(line) for line in (job.out / "losses.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["lr"], line["grad_norm"]) for line in lines]


def _language(folder: Path, name: str, changes: dict[str, Any]) -> BaseModel:
    split = {"rows_per_batch": 2, "batches_per_step": 2}
    return samples.job(folder, name, {"steps": STEPS, **split, **changes})


def _vision(folder: Path, name: str, changes: dict[str, Any]) -> BaseModel:
    epochs = {"epochs": STEPS * 4 / 32, "clips_per_batch": 2, "batches_per_step": 2, "evaluations": 2}
    return models.job(folder, name, {**epochs, **changes})


def _coach(folder: Path, name: str, changes: dict[str, Any]) -> BaseModel:
    if not (folder / "data").is_dir():
        coached.write_sessions(folder / "data", seconds=12.0)
    split = {"steps": STEPS, "rows_per_batch": 2, "batches_per_step": 2, "evaluations": 2}
    return coached.job(folder / "data", folder / name, **{**split, **changes})


def _tokenizer(folder: Path, name: str, changes: dict[str, Any]) -> BaseModel:
    files = sorted((folder / "motion").glob("*.parquet")) or write_people(folder / "motion", 4, 64)
    shape = {"start": "own", "codes": 16, "code_size": 8, "width": 32, "encoder_blocks": 1, "decoder_blocks": 1}
    config = TokenizerConfig.model_validate({**shape, "frames_per_batch": 256, "steps": STEPS, **changes})
    return TokenizerJob(train=files[:3], held_out=files[3:], out=folder / name, config=config)


LANGUAGE = Training(
    "language", "posellm_assets.language.train", _language, "stage", "stage.learning_rate",
    {"rows_per_batch": 1, "batches_per_step": 4, "gradient_checkpointing": True, "evaluate_every": 5},
    ("posellm_assets.language.losses", "summed_loss"), calls_a_step=2,
)  # fmt: skip
VISION = Training(
    "vision", "posellm_assets.actions.train", _vision, "training", "training.learning_rate",
    {"clips_per_batch": 1, "batches_per_step": 4, "gradient_checkpointing": True},
    ("posellm_assets.vision.learning", "Learner.summed_loss"), calls_a_step=2,
)  # fmt: skip
COACH = Training(
    "coach", "posellm_assets.coaching.streaming.train", _coach, "config", "config.learning_rate",
    {"rows_per_batch": 1, "batches_per_step": 4},
    ("posellm_assets.coaching.streaming.train", "summed_loss"), calls_a_step=2,
)  # fmt: skip
TOKENIZER = Training(
    "tokenizer", "posellm_assets.motion.train_tokenizer", _tokenizer, "config", "tokenizer.learning_rate",
    {"threads": 2}, ("posellm_assets.motion.train_tokenizer", "Objective.__call__"),
)  # fmt: skip
ALL = [LANGUAGE, VISION, COACH, TOKENIZER]
