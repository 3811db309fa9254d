"""One training stage, read from top to bottom: start, data, steps, checkpoints, the finished model.

Writes into the job's `out`: `checkpoint-N/`, `losses.jsonl` (a line per step), `final/` (the model) and, last,
`result.json`. Everything random comes from the job's seed and the step, so that a killed and restarted job ends with
the same weights as one that never stopped; on a CPU, and with the same number of threads, to the bit.
"""

import json
import math
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoTokenizer

from posellm_assets import lake
from posellm_assets.language import checkpoints, models, record
from posellm_assets.language.backends import Backend, BackendUnavailable
from posellm_assets.language.checkpoints import Checkpoint, CheckpointMismatch
from posellm_assets.language.config import StageConfig, StageJob, Task
from posellm_assets.language.lengths import Lengths
from posellm_assets.language.packing import IGNORE, Batch, collate, hidden_states, pack
from posellm_assets.language.tasks import Clip, Example, UnusableData, View, build, draw_epoch, fit_texts, read_clips
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.program import Report


class NonFiniteLoss(ArithmeticError):
    """The loss or its gradient became NaN or infinite; the message names the clips of the step."""


REFUSALS = (NonFiniteLoss, UnusableData, CheckpointMismatch, BackendUnavailable, models.UnsupportedModel)


def train(job: StageJob, backend: Backend, report: Report) -> dict[str, Any]:
    """Train `job` to its end and return what `result.json` holds; a job that is finished already is left as it is."""
    # --- What this job is, and what is there of it already
    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    stage = job.stage
    identity = record.identity(job)
    result_file = job.out / "result.json"
    if result_file.is_file():
        result: dict[str, Any] = lake.read_json(result_file)
        checkpoints.check_identity(result["identity"], identity, job.out)
        report(f"{stage.name} is finished already: {job.out / 'final'}")
        return result
    checkpoint = checkpoints.read_newest(job.out, report)
    if checkpoint:
        checkpoints.check_identity(checkpoint.position["identity"], identity, job.out)

    # --- Data, vocabulary and model
    clips = read_clips(job.train, job.codebook_size, job.layers)
    held_out = read_clips(job.val, job.codebook_size, job.layers) if job.val else []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = job.model.precision == "bf16" or (job.model.precision == "auto" and _bf16_is_fast(device))
    vocabulary, loaded = _start(job, backend, clips, device, bf16)
    model, masked = loaded.model, loaded.masked
    if job.model.method == "lora":
        model = models.attach_lora(model, job.model, vocabulary, job.seed)
    clips, left_out = fit_texts(clips, vocabulary, stage.row_tokens)
    held_out, held_out_left_out = fit_texts(held_out, vocabulary, stage.row_tokens)
    left_out += held_out_left_out
    for sentence in left_out:
        report(f"left out: {sentence}")
    rows = _Rows(clips, stage, vocabulary, job.seed)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(
        [
            {"params": [weight for weight in trained.values() if weight.ndim > 1], "weight_decay": stage.weight_decay},
            {"params": [weight for weight in trained.values() if weight.ndim < 2], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )

    # --- Where to go on
    position: dict[str, Any] = {"identity": identity, "step": 0, "tokens": 0, "labelled_tokens": 0, "seconds": 0.0}
    if checkpoint:
        position = checkpoint.position
        _restore(checkpoint, trained, optimizer, rows)
        report(f"goes on from step {position['step']} of {stage.steps}")
    else:
        position["val_before"] = _validate(model, masked, held_out, stage, vocabulary, bf16)
    losses = _losses_until(job.out / "losses.jsonl", position["step"])
    report(
        f"{stage.name}: {len(clips)} clips, {sum(weight.numel() for weight in trained.values()):,} of "
        f"{sum(weight.numel() for weight in model.parameters()):,} parameters trained, "
        f"{loaded.backend.name} ({loaded.backend.reason}), {device}, {'bf16' if bf16 else 'float32'}"
    )

    # --- Steps
    model.train()
    before, began = position["seconds"], time.perf_counter()
    with (job.out / "losses.jsonl").open("a") as log:
        for step in range(position["step"] + 1, stage.steps + 1):
            step_began = time.perf_counter()
            learning_rate = _learning_rate(stage, step)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            taken = [rows.take(stage.rows_per_batch) for _ in range(stage.batches_per_step)]
            batches = [collate(batch, stage.row_tokens, vocabulary.pad).to(device) for batch in taken]
            labelled = sum(int((batch.labels != IGNORE).sum()) for batch in batches)
            tokens = sum(len(example) for batch in taken for row in batch for example in row)
            loss = 0.0
            for batch in batches:
                part = _summed_loss(model, batch, masked, bf16) / labelled
                part.backward()
                loss += float(part.detach())
            norm = float(torch.nn.utils.clip_grad_norm_(trained.values(), stage.max_gradient_norm))
            if not math.isfinite(loss + norm):
                raise NonFiniteLoss(_what_broke(step, loss, norm, taken))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            seconds = time.perf_counter() - step_began
            entry = {
                "step": step,
                "loss": loss,
                "lr": learning_rate,
                "grad_norm": norm,
                "tokens_per_s": round(tokens / seconds, 1),
            }
            losses.append(entry)
            log.write(json.dumps(entry) + "\n")
            log.flush()
            position["step"] = step
            position["tokens"] += tokens
            position["labelled_tokens"] += labelled
            position["seconds"] = before + time.perf_counter() - began
            if step % max(1, stage.steps // 10) == 0:
                report(
                    f"{stage.name} step {step}/{stage.steps}: loss {loss:.3f}, {entry['tokens_per_s']:,.0f} tokens/s"
                )
            every = stage.checkpoint_every
            if step in (max(1, stage.steps // 2), stage.steps) or (every and step % every == 0):
                checkpoints.write(job.out, step, _checkpoint(trained, optimizer, rows, position))

    # --- The finished model and its record
    val = _validate(model, masked, held_out, stage, vocabulary, bf16)
    trainable = sum(weight.numel() for weight in trained.values())
    _write_final(model, vocabulary, Lengths.of(clips, stage.row_tokens), job.out)
    tail = [entry["loss"] for entry in losses[-max(1, stage.steps // 10) :]]
    result = {
        "stage": stage.name,
        "identity": identity,
        "parent": str(job.parent) if job.parent else None,
        "seed": job.seed,
        "steps": stage.steps,
        "epochs": rows.epoch + 1,
        "first_loss": losses[0]["loss"],
        "final_loss": sum(tail) / len(tail),
        "final_loss_steps": len(tail),
        "val_before": position["val_before"],
        "val": val,
        "clips": len(clips),
        "clips_without_text": sum(not any(view.texts for view in clip.views) for clip in clips),
        "left_out": left_out,
        "tokens": position["tokens"],
        "labelled_tokens": position["labelled_tokens"],
        "step_seconds": round(position["seconds"], 2),
        "seconds_of_last_start": round(time.perf_counter() - started, 2),
        "tokens_per_s": round(position["tokens"] / position["seconds"], 1),
        "trained_parameters": trainable,
        "backend": {"name": loaded.backend.name, "reason": loaded.backend.reason},
        "packing": "explicit mask" if masked else "positions",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "precision": "bf16" if bf16 else "float32",
        "threads": job.threads,
        "versions": record.versions(),
        "code": record.code_hash(),
    }
    lake.write_json(result_file, result)
    report(f"{stage.name} is finished: loss {result['first_loss']:.3f} -> {result['final_loss']:.3f}, val {val}")
    return result


class _Rows:
    """Packed rows without end. An epoch is drawn from the seed and its number: (epoch, row) is a place in them."""

    def __init__(self, clips: list[Clip], stage: StageConfig, vocabulary: Vocabulary, seed: int):
        self._clips, self._stage, self._vocabulary, self._seed = clips, stage, vocabulary, seed
        self.epoch, self.row = 0, 0
        self._rows = self._draw()

    def seek(self, epoch: int, row: int) -> None:
        """Go to a place that a checkpoint remembers."""
        self.epoch, self.row = epoch, row
        self._rows = self._draw()

    def take(self, count: int) -> list[list[Example]]:
        """The next `count` rows, from the next epoch too where this one ends."""
        taken: list[list[Example]] = []
        while len(taken) < count:
            if self.row == len(self._rows):
                self.seek(self.epoch + 1, 0)
            taken.append(self._rows[self.row])
            self.row += 1
        return taken

    def _draw(self) -> list[list[Example]]:
        generator = random.Random(f"{self._seed}/{self._stage.name}/{self.epoch}")
        rows = pack(draw_epoch(self._clips, self._stage, self._vocabulary, generator), self._stage.row_tokens)
        if not rows:
            raise UnusableData(f"none of {len(self._clips)} clips can be used by the tasks {self._stage.tasks}")
        generator.shuffle(rows)
        return rows


def _start(
    job: StageJob, backend: Backend, clips: list[Clip], device: torch.device, bf16: bool
) -> tuple[Vocabulary, models.LoadedModel]:
    """The vocabulary and model that training starts from: the parent's, or the base with rows for the new tokens."""
    # A frozen base in bf16 takes half the memory; weights that are trained stay float32.
    halved = bf16 and job.model.method == "lora" and device.type == "cuda"
    dtype = torch.bfloat16 if halved else torch.float32
    row_tokens = job.stage.row_tokens
    participants = {clip.participant for clip in clips if clip.participant}
    codes = (job.codebook_size, job.lineage, job.layers)
    if job.parent:
        vocabulary = Vocabulary.load(job.parent, participants)
        spoken = (vocabulary.codebook_size, vocabulary.layers, vocabulary.lineage)
        if spoken != (job.codebook_size, job.layers, job.lineage):
            raise UnusableData(
                f"{job.parent} speaks {spoken[0]} codes in {spoken[1]} layers of lineage {spoken[2]!r}, the examples "
                f"have {job.codebook_size} in {job.layers} of {job.lineage!r}: new codes need a model that starts from "
                "the base"
            )
        loaded = models.load(str(job.parent), job.model, backend, row_tokens, dtype, device)
        if vocabulary.new:
            models.add_token_rows(loaded.model, vocabulary, job.seed)
        return vocabulary, loaded
    if job.model.base == "tiny":
        texts = {text for clip in clips for view in clip.views for text in view.texts}
        vocabulary = Vocabulary(tiny_tokenizer(texts, job.model.tiny.text_tokens), *codes, participants)
        with tempfile.TemporaryDirectory() as folder:
            models.build_tiny(job.model.tiny, vocabulary, job.seed, Path(folder))
            return vocabulary, models.load(folder, job.model, backend, row_tokens, dtype, device)
    vocabulary = Vocabulary(AutoTokenizer.from_pretrained(job.model.base), *codes, participants)
    loaded = models.load(job.model.base, job.model, backend, row_tokens, dtype, device)
    models.add_token_rows(loaded.model, vocabulary, job.seed)
    return vocabulary, loaded


def _summed_loss(model: Any, batch: Batch, masked: bool, bf16: bool) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens; the head is applied to those only."""
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=bf16):
        hidden = hidden_states(models.body(model), batch, masked)
        labelled = batch.labels[:, 1:] != IGNORE
        scores = models.logits(model, hidden[:, :-1][labelled])
    return functional.cross_entropy(scores, batch.labels[:, 1:][labelled], reduction="sum")


def _held_out_text(view: View, task: Task) -> str:
    text = view.texts[0] if view.texts else ""
    return view.description(text) if task == "m2t" else text


@torch.no_grad()
def _validate(
    model: Any, masked: bool, clips: list[Clip], stage: StageConfig, vocabulary: Vocabulary, bf16: bool
) -> dict[str, Any]:
    """Mean loss per answer token on held-out clips for each task of the stage, with the number of tokens and clips."""
    model.eval()
    device = next(model.parameters()).device
    result: dict[str, Any] = {}
    for task in (task for task, share in stage.tasks.items() if share):
        generator = random.Random(0)
        used = [clip for clip in clips if clip.views[0].texts or task in ("motion", "denoise")]
        examples = [
            example
            for clip in used
            for example in build(
                task,
                clip.key,
                clip.views[0].codes,
                _held_out_text(clip.views[0], task),
                vocabulary,
                stage.row_tokens,
                stage.mask_rate,
                generator,
            )
        ]
        total = 0.0
        rows = pack(examples, stage.row_tokens)
        for start in range(0, len(rows), stage.rows_per_batch):
            batch = collate(rows[start : start + stage.rows_per_batch], stage.row_tokens, vocabulary.pad).to(device)
            total += float(_summed_loss(model, batch, masked, bf16))
        tokens = sum(len(example.answer) for example in examples)
        if tokens:
            result[task] = {"loss": total / tokens, "tokens": tokens, "clips": len(used)}
    return result


def _learning_rate(stage: StageConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth; steps count from 1."""
    warmup = max(1, round(stage.warmup * stage.steps))
    if step <= warmup:
        return stage.learning_rate * step / warmup
    done = (step - warmup) / max(1, stage.steps - warmup)
    return stage.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def _checkpoint(
    trained: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, rows: _Rows, position: dict[str, Any]
) -> Checkpoint:
    state = {
        f"{kind}/{name}": tensor
        for name, weight in trained.items()
        for kind, tensor in optimizer.state[weight].items()  # step, exp_avg, exp_avg_sq
    }
    state["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        state["random/cuda"] = torch.cuda.get_rng_state()
    weights = {name: weight.detach() for name, weight in trained.items()}
    return Checkpoint(weights, state, {**position, "epoch": rows.epoch, "row": rows.row})


def _restore(
    checkpoint: Checkpoint, trained: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, rows: _Rows
) -> None:
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(checkpoint.weights[name])
            for kind in ("step", "exp_avg", "exp_avg_sq"):
                # Fused AdamW keeps its step count beside the weights.
                optimizer.state[weight][kind] = checkpoint.state[f"{kind}/{name}"].to(weight.device)
    torch.set_rng_state(checkpoint.state["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in checkpoint.state:
        torch.cuda.set_rng_state(checkpoint.state["random/cuda"])
    rows.seek(checkpoint.position["epoch"], checkpoint.position["row"])


def _losses_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The logged losses up to `step`; what a killed process logged beyond its last checkpoint leaves the file."""
    kept = path.read_bytes().splitlines(keepends=True)[:step] if path.is_file() else []
    lake.write_bytes(path, b"".join(kept))
    return [json.loads(line) for line in kept]


def _write_final(model: Any, vocabulary: Vocabulary, lengths: Lengths, out: Path) -> None:
    """Write `out/final` under another name first, so that a killed process leaves no half of it."""
    temporary, final = out / ".final.tmp", out / "final"
    for leftover in (temporary, final):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    models.save(model, vocabulary, temporary)
    lengths.write(temporary)
    os.replace(temporary, final)


def _what_broke(step: int, loss: float, norm: float, taken: list[list[list[Example]]]) -> str:
    keys = sorted({example.key for batch in taken for row in batch for example in row})
    return (
        f"the loss is {loss:.4g} and its gradient's norm {norm:.4g} at step {step}: training stopped and nothing was "
        f"saved over. Lower the learning rate, or look at the clips of this step: {', '.join(keys)}"
    )


def _bf16_is_fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported())
