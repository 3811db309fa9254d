"""What the project's models reach in 5 CPU minutes on held-out motion capture. `python bench/quality.py`

Prints three tables with their baselines, each claim with its target, and exits with 1 where one is missed:

- likelihood: at most 1.6 nats per motion code of T2M-GPT's tokenizer; of our own codes, beside unigram, bigram and the
  loop of an earlier system, without a claim,
- motion to text: the action named at least as often as by 1-NN dynamic time warping on raw features,
- text to motion: always valid, and nearer to held-out motion than the training clip with the nearest text.

Data and split are those of `mocap.py`. Every choice (settings below, temperature, which model names actions) was made
with `--validate`, which trains on train and measures on val. Without it the models train on train and val and are
measured on test, once for each seed. The budget is for the three stages of the language model together, in CPU seconds
of their processes, start included; tokenizer and evaluator have their own, which is printed. One thread.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from action_baselines import linear_on_histograms, nearest_by_dtw, nearest_by_edit_distance
from earlier_loop import EarlierLoop
from mocap import Take, read_takes, split
from pipeline import Trained, train_evaluator, train_language, train_tokenizer, write_examples
from published_codes import nll_of_published_codes
from rich.console import Console
from rich.table import Table
from text_to_motion import Agreement, agreement, retrieve

from posellm_assets import files
from posellm_assets.evaluation.baselines import CodeStatistics, nearest_by_codes
from posellm_assets.evaluation.clips import MotionExample, read_examples
from posellm_assets.evaluation.config import EvaluatorConfig
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.lake import FINAL, RESULT
from posellm_assets.language.config import ModelConfig, SamplingConfig, StageConfig, TinyConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.augment import shift_phase
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenise import variants_of
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.reports.metrics import majority_label, share
from posellm_assets.texts.captions import label_words
from posellm_assets.texts.mirror import mirror_text

BUDGET_S = 300.0
MOST_NATS = 1.6
# One layer of 512 codes of each body part, at the budget of three CPU minutes that the tokenizer is measured at.
TOKENIZER = TokenizerConfig(
    start="own",
    codes=512,
    steps=4000,
    checkpoint_every=2000,
    speeds=(0.8, 0.9, 1.0, 1.1, 1.25),
    phases=(0, 1, 2, 3),
)
MODEL = ModelConfig(
    backend="hf",
    tiny=TinyConfig(
        hidden_size=256,
        layers=4,
        attention_heads=8,
        key_value_heads=4,
        head_size=32,
        intermediate_size=768,
        text_tokens=400,
    ),
)
STAGES = (
    StageConfig(name="stage1", tasks={"motion": 1.0}, steps=200),
    StageConfig(name="stage2", tasks={"t2m": 0.5, "m2t": 0.3, "denoise": 0.2}, steps=300),
    StageConfig(name="stage3", tasks={"t2m": 0.6, "m2t": 0.4}, steps=300, learning_rate=1e-3),
)
EVALUATOR = EvaluatorConfig()
SAMPLING = SamplingConfig()
LANGUAGE, VIEWS, JUDGE = "language model, as filmed", "language model, averaged over views", "evaluator, zero-shot"
DTW = "1-NN, DTW on raw features"
# On the 48 clips of val: 0.90, the language model 0.83 as filmed and 0.88 over views, DTW 0.75.
BEST_NAMER = JUDGE
GENERATED, RETRIEVED = "generated", "training clip with the nearest text"


@dataclass(frozen=True)
class Data:
    """What models are fitted to and asked about, and their codes."""

    fit: list[Take]
    asked: list[Take]
    tokenizer: MotionTokenizer
    tokenizer_folder: Path
    folder: Path
    fit_codes: list[list[int]]
    asked_codes: list[list[int]]

    @property
    def examples(self) -> Path:
        """What to train on, in all variants."""
        return self.folder / "examples.parquet"

    @property
    def labels(self) -> list[str]:
        """All labels of the clips that models are fitted to."""
        return sorted({take.label for take in self.fit})

    @property
    def texts(self) -> list[str]:
        """The text of each clip that is asked about."""
        return [take.text for take in self.asked]


@dataclass(frozen=True)
class Outcome:
    """What the models of one seed reached."""

    stages: list[Trained]
    nll: float
    names: dict[str, list[str]]
    motion: dict[str, Agreement]


def main() -> int:
    """Train, measure, print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validate", action="store_true", help="train on train, measure on val")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = split(read_takes())
    fit, asked = (parts.train, parts.val) if arguments.validate else ([*parts.train, *parts.val], parts.test)
    console = Console(width=120)
    console.print(
        f"{len(fit)} clips to train on, {len(asked)} held-out clips ({'val' if arguments.validate else 'test'}), "
        f"{len({take.label for take in asked})} of {len({take.label for take in fit})} labels held out, "
        f"seeds {arguments.seeds}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        data = prepare(fit, asked, folder, console)
        outcomes = [measure(data, folder / f"seed-{seed}", seed, console) for seed in arguments.seeds]
        met = [
            print_likelihood(data, outcomes, arguments.seeds, console),
            print_naming(data, outcomes, console),
            print_text_to_motion(outcomes, console),
        ]
    return 0 if all(met) else 1


def prepare(fit: list[Take], asked: list[Take], folder: Path, console: Console) -> Data:
    """Train the tokenizer and write the clips to train on as codes, in all their variants."""
    trained = train_tokenizer(fit, asked, folder, TOKENIZER, seed=0)
    tokenizer = MotionTokenizer.load(trained.folder)
    report = files.read_json(trained.folder.with_name(RESULT))["held_out"]
    console.print(
        f"tokenizer, a budget of its own: {trained.cpu_s:.0f} CPU s, {tokenizer.codes_per_step} codes for "
        f"{tokenizer.frames_per_step} frames, root-aligned MPJPE {report['mpjpe_mm']} mm held out; perplexity "
        f"{report['perplexity']} of {report['codes']} held-out codes"
    )
    codes = tokenizer.encode_many([take.motion for take in [*fit, *asked]])
    data = Data(fit, asked, tokenizer, trained.folder, folder, codes[: len(fit)], codes[len(fit) :])
    write_examples(fit, tokenizer, data.examples, augmented=True)
    return data


def measure(data: Data, folder: Path, seed: int, console: Console) -> Outcome:
    """Train the language model and the evaluator of one seed and measure both on the held-out clips."""
    stages = train_language(data.examples, data.tokenizer_folder, STAGES, MODEL, folder, seed)
    judged = train_evaluator(
        data.examples, data.folder / "motions", data.tokenizer, folder / "evaluator", EVALUATOR, seed
    )
    model, evaluator = MotionLM.load(stages[-1].folder / FINAL), Evaluator.load(judged.folder)
    cpu = " + ".join(f"{stage.cpu_s:.0f}" for stage in stages)
    lengths = [len(codes) for codes in data.asked_codes]
    nll = model.nll_per_code(data.asked_codes, data.texts).tolist()
    outcome = Outcome(
        stages=stages,
        nll=float(np.average(nll, weights=lengths)),
        names=named(data, model, evaluator),
        motion=text_to_motion(data, model, evaluator, seed),
    )
    truth = [take.label for take in data.asked]
    right = [f"{np.mean(np.array(row) == truth):.3f} by {way}" for way, row in outcome.names.items()]
    console.print(
        f"seed {seed}: language model {cpu} CPU s, evaluator {judged.cpu_s:.0f} CPU s; "
        f"{outcome.nll:.3f} nats per code; named {', '.join(right)}; {GENERATED} {outcome.motion[GENERATED]}"
    )
    return outcome


def named(data: Data, model: MotionLM, evaluator: Evaluator) -> dict[str, list[str]]:
    """The label that each way of naming gives to each held-out clip, chosen among all labels.

    Averaged over views: the mean log-probability over the clip mirrored (its labels mirrored too), shifted and at other
    speeds, as the training clips are varied.
    """
    labels = data.labels
    words = [label_words(label) for label in labels]
    mirrored = [labels.index(mirror_text(label)) for label in labels]
    views = [
        (index, view) for index, take in enumerate(data.asked) for view in variants_of(take.motion, data.tokenizer)
    ]
    codes = data.tokenizer.encode_many([view.motion for _, view in views])
    scores = model.score_labels(codes, words).log_softmax(1).numpy()
    scores = np.stack([row[mirrored] if view.mirrored else row for row, (_, view) in zip(scores, views, strict=True)])
    owners = np.array([index for index, _ in views])
    as_filmed = np.array([view.name == "original" for _, view in views])
    mean = np.stack([scores[owners == index].mean(0) for index in range(len(data.asked))])
    similarity = evaluator.similarity([take.motion for take in data.asked], words)
    ways = {LANGUAGE: scores[as_filmed], VIEWS: mean, JUDGE: similarity}
    return {way: [labels[index] for index in table.argmax(1)] for way, table in ways.items()}


def text_to_motion(data: Data, model: MotionLM, evaluator: Evaluator, seed: int) -> dict[str, Agreement]:
    """Motion from the texts of the held-out clips, beside retrieval, the floor, the ceiling and the real clips."""
    tokenizer, texts = data.tokenizer, data.texts
    generated = model.motion_from_text(texts, seed=1000 * seed, sampling=SAMPLING)
    valid = [bool(row) and 0 <= min(row) <= max(row) < tokenizer.codebook_size for row in generated]
    decoded = iter(tokenizer.decode_many([row for row, fine in zip(generated, valid, strict=True) if fine]))
    retrieved = retrieve(data.fit, texts, seed)
    later = [shift_phase(take.motion, 2) for take in data.asked]

    def against_held_out(codes: Sequence[Sequence[int]] | None, motions: Sequence[Motion | None]) -> Agreement:
        return agreement(texts, codes, motions, data.asked, data.asked_codes, evaluator)

    return {
        GENERATED: against_held_out(generated, [next(decoded) if fine else None for fine in valid]),
        RETRIEVED: against_held_out(
            tokenizer.encode_many([take.motion for take in retrieved]), [take.motion for take in retrieved]
        ),
        "floor: the held-out clip itself, two frames later": against_held_out(tokenizer.encode_many(later), later),
        "ceiling: the held-out clip after the tokenizer": against_held_out(
            None, tokenizer.decode_many(data.asked_codes)
        ),
        "real: the held-out clip": against_held_out(None, [take.motion for take in data.asked]),
    }


def print_likelihood(data: Data, outcomes: Sequence[Outcome], seeds: Sequence[int], console: Console) -> bool:
    """The table of nats per code, and whether its target and the budget are met."""
    lengths = [len(codes) for codes in data.asked_codes]
    size = data.tokenizer.codebook_size
    views = [example.codes for example in read_examples(data.examples)]
    table = Table("nats per code, end included, given the text", "each seed", "mean")

    def add(name: str, values: Sequence[float]) -> None:
        table.add_row(name, " ".join(f"{value:.2f}" for value in values), f"{np.mean(values):.2f}")

    add(f"language model, {BUDGET_S:.0f} CPU s", [outcome.nll for outcome in outcomes])
    add(
        f"the earlier system's loop, the same model, {BUDGET_S:.0f} CPU s",
        [earlier_nll(data)],
    )
    for counted, what in ((views, "with the same augmented views"), (data.fit_codes, "on clips as filmed")):
        statistics = CodeStatistics(counted, size)
        for name, nll in (("unigram", statistics.unigram_nll), ("bigram", statistics.bigram_nll)):
            add(f"{name}, {what}", [float(np.average([nll(codes) for codes in data.asked_codes], weights=lengths))])
    published, published_bigram, published_s = nll_of_published_codes(
        data.fit, data.asked, TOKENIZER, STAGES, MODEL, seeds, data.folder / "published"
    )
    add("language model, on the codes of T2M-GPT's tokenizer", published)
    add("bigram, with the same augmented views, on those codes", [published_bigram])
    console.print(table)
    most_s = max(published_s, *(sum(stage.cpu_s for stage in outcome.stages) for outcome in outcomes))
    console.print(
        f"likelihood: {np.mean(published):.2f} nats per code of {sum(lengths)} on the codes that the target was "
        f"measured on (at most {MOST_NATS}); what codes say differs, so on others there is no claim"
    )
    console.print(f"budget: at most {most_s:.0f} CPU s for the three stages (target: at most {BUDGET_S:.0f})")
    return float(np.mean(published)) <= MOST_NATS and most_s <= BUDGET_S


def earlier_nll(data: Data) -> float:
    """Nats per code of the earlier loop, one seed, with our model, learning rate and budget."""
    loop = EarlierLoop(
        list(zip(data.fit_codes, [take.text for take in data.fit], strict=True)),
        data.tokenizer.codebook_size,
        MODEL.tiny,
        seed=0,
    )
    loop.train(BUDGET_S, STAGES[0].learning_rate)
    return loop.nll_per_code(list(zip(data.asked_codes, data.texts, strict=True)))


def print_naming(data: Data, outcomes: Sequence[Outcome], console: Console) -> bool:
    """The table of action accuracies, and whether the best single model is not behind 1-NN DTW."""
    truth, known = [take.label for take in data.asked], [take.label for take in data.fit]
    size = data.tokenizer.codebook_size
    examples = read_examples(data.examples)
    varied, varied_labels = [example.codes for example in examples], [_label(data, example) for example in examples]
    baselines: dict[str, Callable[[], list[str]]] = {
        DTW: lambda: nearest_by_dtw(data.fit, data.asked),
        "1-NN, histograms of codes": lambda: [
            known[index] for index in nearest_by_codes(data.fit_codes, data.asked_codes, size)
        ],
        "1-NN, histograms, augmented": lambda: [
            varied_labels[index] for index in nearest_by_codes(varied, data.asked_codes, size)
        ],
        "linear, histograms": lambda: linear_on_histograms(data.fit_codes, known, data.asked_codes, size),
        "linear, histograms, augmented": lambda: linear_on_histograms(varied, varied_labels, data.asked_codes, size),
        "1-NN, edit distance of codes": lambda: nearest_by_edit_distance(data.fit_codes, known, data.asked_codes),
        "majority": lambda: [majority_label(known)] * len(truth),
    }
    rows = {name: [outcome.names[name] for outcome in outcomes] for name in outcomes[0].names}
    rows |= {name: [predict()] for name, predict in baselines.items()}
    table = Table(f"action named, of {len(truth)} held-out clips", "each seed", "mean", "95 % of a mean seed")
    means: dict[str, float] = {}
    for name, predictions in rows.items():
        right = [sum(a == b for a, b in zip(truth, row, strict=True)) for row in predictions]
        means[name] = float(np.mean(right)) / len(truth)
        low, high = share(round(np.mean(right)), len(truth)).interval or (math.nan, math.nan)
        each = " ".join(f"{count / len(truth):.2f}" for count in right)
        table.add_row(name, each, f"{means[name]:.3f}", f"{low:.2f} to {high:.2f}")
    console.print(table)
    console.print(f"naming, {BEST_NAMER}: {means[BEST_NAMER]:.3f} (target: at least 1-NN DTW's {means[DTW]:.3f})")
    return means[BEST_NAMER] >= means[DTW]


def _label(data: Data, example: MotionExample) -> str:
    """The label of an example in the data's spelling."""
    return next(label for label in data.labels if label_words(label) == example.label)


def print_text_to_motion(outcomes: Sequence[Outcome], console: Console) -> bool:
    """The table of text-to-motion, and whether generated motion is valid and nearer than retrieved motion."""
    table = Table("motion for held-out texts", "valid", "edit distance", "each seed", "R-Precision@3", "each seed")
    means: dict[str, tuple[float, float, float]] = {}
    for name in outcomes[0].motion:
        found = [outcome.motion[name] for outcome in outcomes]
        valid, distance, precision = (
            [getattr(one, part) for one in found] for part in ("valid", "edit_distance", "r_precision")
        )
        means[name] = float(np.mean(valid)), float(np.mean(distance)), float(np.mean(precision))
        each = [" ".join(f"{value:.2f}" for value in values) for values in (distance, precision)]
        cells = [name, f"{means[name][0]:.0%}", f"{means[name][1]:.3f}", each[0], f"{means[name][2]:.3f}", each[1]]
        table.add_row(*("-" if "nan" in cell else cell for cell in cells))
    console.print(table)
    (valid_share, distance, precision), (_, retrieved_distance, retrieved_precision) = (
        means[GENERATED],
        means[RETRIEVED],
    )
    console.print(
        f"text to motion: {valid_share:.0%} valid (target: 100%), edit distance {distance:.3f} (target: under "
        f"{retrieved_distance:.3f}), R-Precision@3 {precision:.3f} (target: over {retrieved_precision:.3f}); "
        f"{outcomes[0].motion[GENERATED].prompts} prompts a seed"
    )
    return valid_share == 1.0 and distance < retrieved_distance and precision > retrieved_precision


if __name__ == "__main__":
    sys.exit(main())
