"""Motion tokens per second against the earlier system's decoding, and labels scored against text generated and matched.

Claims, each a ratio of process CPU time on one thread in this run:

- The earlier system gave `generate()` a logits processor that builds a mask over the whole vocabulary for each row and
  step, one prompt at a time. With a vocabulary of 151,936, ours is at least 9 times as fast at batch 1 and 28 times at
  batch 32; with one of 3,680 at least 2.3 and 7.5 times. Same weights, prompts and length
  bounds, temperature 0.7, top-p 0.9. The earlier system's repetition penalty and its ban on repeated 6-grams are left
  out: they only cost time. Only codes count, and its generation may stop at the motion's end, which it did not.
- Scoring 26 labels is at least 4 times as fast, in clips, as generating each clip's text with `generate()` and looking
  which label it begins with, and names at least as many held-out clips rightly. The model is trained here, on codes
  that walk through a range per label with noise. Generating with our own batched decoding is printed beside it.

    python bench/decoding.py [--rounds 3]
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import LogitsProcessor, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

from posellm_assets.lake import FINAL
from posellm_assets.language.config import ModelConfig, SamplingConfig, StageConfig, StageJob
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.sampling import LengthControl
from posellm_assets.language.tasks import m2t_prefix, t2m_prefix
from posellm_assets.language.taught import Taught
from posellm_assets.language.train import train
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.training.backends import Backend

CODES = 512
BIG, SMALL = 151_936, 3_680
CLAIMS = {(BIG, 1): 9.0, (BIG, 32): 28.0, (SMALL, 1): 2.3, (SMALL, 32): 7.5}
LABELS_CLAIM = 4.0
PARTS, MOVES = ("arm", "leg", "hip", "head"), ("raise", "swing", "circle", "press", "turn", "hold")
LABELS = ["jump", "jump rope", *(f"{part} {move}" for part in PARTS for move in MOVES)]
SAMPLING = SamplingConfig()


class PerRowProcessor(LogitsProcessor):
    """The earlier system's rules, as it applied them: row by row, with a mask over the whole vocabulary."""

    def __init__(self, vocabulary: Vocabulary, prompt: int, bounds: LengthControl):
        self.begin, self.end, self.prompt, self.bounds = vocabulary.begin, vocabulary.end, prompt, bounds
        self.codes = torch.tensor(vocabulary.codes)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row in range(len(scores)):
            drawn = input_ids[row, self.prompt :].tolist()
            mask = torch.full_like(scores[row], float("-inf"))
            if self.begin not in drawn:
                mask[self.begin] = 0
            elif self.end in drawn:
                mask[self.end] = 0
            else:
                length = len(drawn) - 1 - drawn.index(self.begin)
                if length < self.bounds.maximum:
                    mask[self.codes] = 0
                if length >= self.bounds.minimum:
                    mask[self.end] = SAMPLING.end_slope * max(0, length - self.bounds.target)
            scores[row] = scores[row] + mask
        return scores


def earlier(lm: MotionLM, texts: Sequence[str], bounds: Sequence[LengthControl]) -> list[list[int]]:
    """Each text by itself through `generate()`."""
    vocabulary, motions = lm.vocabulary, []
    for text, bound in zip(texts, bounds, strict=True):
        prompt = t2m_prefix(text, vocabulary)[:-1]  # it draws the beginning of the motion too
        ids = torch.tensor([prompt])
        processor = PerRowProcessor(vocabulary, len(prompt), bound)
        made = lm.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            logits_processor=LogitsProcessorList([processor]),
            do_sample=True,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            top_k=0,
            max_new_tokens=min(256, bound.maximum + 4),
            eos_token_id=vocabulary.end,
            pad_token_id=vocabulary.pad,
        )[0, len(prompt) :].tolist()
        motions.append([vocabulary.code_of[token] for token in made if token in vocabulary.code_of])
    return motions


def model_of(rows: int) -> MotionLM:
    """An untrained model of the built-in base's kind, 3.1 million weights beside its embedding of `rows` tokens."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(tiny_tokenizer([f"a person does a {label}" for label in LABELS], 768), CODES)
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return MotionLM(Qwen3ForCausalLM(config), vocabulary, Taught(row_tokens=256, overall=30))


def rate(work: Callable[[], Sequence[Sequence[int]]]) -> float:
    """Codes per second of process CPU time."""
    began = time.process_time()
    made = work()
    return sum(map(len, made)) / (time.process_time() - began)


def decoding_rates(lm: MotionLM, rounds: int) -> dict[str, list[float]]:
    """Codes per second in each round, the ways taking turns."""
    texts = [f"a person does a {label}" for label in (*LABELS, *LABELS[:6])]
    bounds = [LengthControl.around(16 + index, SAMPLING) for index in range(len(texts))]
    few = slice(4, None, 8)
    one_by_one = list(zip(texts[few], bounds[few], strict=True))
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "earlier, batch 1": lambda: earlier(lm, texts[few], bounds[few]),
        "ours, batch 1": lambda: [lm.motion_from_text([text], 0, SAMPLING, [bound])[0] for text, bound in one_by_one],
        "ours, batch 32": lambda: lm.motion_from_text(texts, 0, SAMPLING, bounds),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for name, work in ways.items():
            rates[name].append(rate(work))
    return rates


def write_clips(path: Path, clips_per_label: int, seed: int) -> list[tuple[str, list[int]]]:
    """Clips whose codes walk through a range of their label's, which overlaps the next label's, a third being noise."""
    generator = random.Random(seed)
    rows, clips = [], []
    for place, label in enumerate(LABELS):
        for clip in range(clips_per_label):
            start = generator.randrange(12)
            codes = [8 * place + (start + step) % 12 for step in range(generator.randint(16, 48))]
            codes = [generator.randrange(8 * len(LABELS)) if generator.random() < 0.33 else code for code in codes]
            count = generator.randint(2, 9)
            texts = [f"{label}: the person bends the knees to a right angle {count} times"]
            columns = {"key": f"gym.{place}-{clip}.{seed:08x}", "segment": 0, "variant": "original", "label": label}
            rows.append({**columns, "participant": f"p{clip}", "texts": texts, "codes": codes})
            clips.append((label, codes))
    pq.write_table(pa.Table.from_pylist(rows), path)
    return clips


def trained(folder: Path) -> tuple[MotionLM, list[tuple[str, list[int]]]]:
    """A model of the built-in base, trained to describe such clips, and clips held out."""
    write_clips(folder / "train.parquet", 24, 0)
    held_out = write_clips(folder / "val.parquet", 4, 1)
    stage = StageConfig(name="stage2", tasks={"m2t": 1.0}, steps=300, rows_per_batch=4)
    job = StageJob(
        train=folder / "train.parquet",
        val=folder / "val.parquet",
        out=folder / "out",
        stage=stage,
        model=ModelConfig(backend="hf", precision="float32"),
        codebook_size=CODES,
    )
    train(job, Backend("hf", "asked for"), lambda message: None)
    return MotionLM.load(job.out / FINAL), held_out


def named(text: str) -> str | None:
    """The longest label that `text` begins with."""
    return max((label for label in LABELS if text.startswith(label)), key=len, default=None)


def library_texts(lm: MotionLM, motions: Sequence[Sequence[int]]) -> list[str]:
    """Each motion by itself through `generate()`, greedily."""
    texts = []
    for codes in motions:
        ids = torch.tensor([m2t_prefix(codes, lm.vocabulary)])
        made = lm.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=96,
            eos_token_id=lm.vocabulary.end_of_text,
            pad_token_id=lm.vocabulary.pad,
        )
        texts.append(lm.vocabulary.decode_text(made[0, ids.shape[1] :].tolist()))
    return texts


def label_rates(rounds: int) -> dict[str, tuple[float, float]]:
    """Median clips per second and accuracy by way of naming."""
    with tempfile.TemporaryDirectory() as folder:
        lm, held_out = trained(Path(folder))
    truth, motions = [label for label, _ in held_out], [codes for _, codes in held_out]
    ways: dict[str, Callable[[], list[str | None]]] = {
        "generate() and match": lambda: [named(text) for text in library_texts(lm, motions)],
        "our batched text and match": lambda: [named(text) for text in lm.text_from_motion(motions)],
        "score the labels": lambda: [LABELS[place] for place in lm.score_labels(motions, LABELS).argmax(1)],
    }
    found: dict[str, tuple[float, float]] = {}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            began = time.process_time()
            answers = work()
            rates[name].append(len(motions) / (time.process_time() - began))
            right = sum(answer == label for answer, label in zip(answers, truth, strict=True))
            found[name] = (median(rates[name]), right / len(truth))
    return found


def main() -> int:
    """Print the tables and the ratios; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    held = True
    for rows in (BIG, SMALL):
        lm = model_of(rows)
        rates = decoding_rates(lm, rounds)
        print(f"codes/s, vocabulary of {rows:,} (median of {rounds} rounds):")
        for way, values in rates.items():
            batch = 32 if way.endswith("32") else 1
            against = [value / base for value, base in zip(values, rates["earlier, batch 1"], strict=True)]
            line = f"  {way:28}{median(values):>10.0f}{median(against):>8.1f}x"
            if way.startswith("ours"):
                claim = CLAIMS[rows, batch]
                held &= median(against) >= claim
                line += f"  (rounds {min(against):.1f} to {max(against):.1f}, claim: at least {claim:g}x)"
            print(line, flush=True)
    labels = label_rates(rounds)
    print(f"clips/s, {len(LABELS)} labels, {4 * len(LABELS)} held-out clips (median of {rounds} rounds), accuracy:")
    speed, accuracy = labels["generate() and match"]
    for way, (clips, right) in labels.items():
        print(f"  {way:28}{clips:>10.1f}{clips / speed:>8.1f}x{right:>8.2f}")
    scored, right = labels["score the labels"]
    held &= scored >= LABELS_CLAIM * speed and right >= accuracy
    print(f"scoring against generate() and match: {scored / speed:.1f}x (claim: at least {LABELS_CLAIM:g}x)")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
