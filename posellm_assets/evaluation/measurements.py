"""The measurements of a report: what the model says of held-out motion, and what the judge says of the model's motion.

Each takes clips and fills `Figures`; a figure that cannot be measured is skipped with its reason, never made up.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posellm_assets.evaluation.baselines import CodeStatistics, majority_label, nearest_labels
from posellm_assets.evaluation.clips import Clip, Example
from posellm_assets.evaluation.distributions import RANKS, chance_of_precision, matching
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import Figures, Labelled
from posellm_assets.evaluation.metrics import (
    Figure,
    average,
    confusion,
    edit_distance,
    length_error,
    named_label,
    share,
)
from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer

NO_TEST = (
    "the test split is empty: no clip belongs to a participant of the test split; add footage of more participants"
)
NO_LABELS = "no clip of the test split has a label"
ONE_LABEL = "the training clips have fewer than two labels, so there is nothing to tell apart"
TEXTS_RANKED = 32  # texts that a motion's own is ranked among, as in HumanML3D's protocol


@dataclass(frozen=True)
class Sample:
    """A generated motion: what was asked, the codes that came, and the motion they stand for (None where invalid)."""

    prompt: str
    sport: str
    label: str | None
    codes: tuple[int, ...]
    motion: Motion | None


def likelihood(
    figures: Figures, model: MotionLM, test: Sequence[Clip], codes: Sequence[Sequence[int]], size: int
) -> None:
    """Negative log-likelihood per code (nats) with and without the text, beside the counts of the training codes."""
    names = ("nll_per_code", "nll_per_code_without_text", "nll_per_code_unigram", "nll_per_code_bigram")
    if not test:
        return figures.skip(names, NO_TEST)
    held_out = [clip.codes for clip in test]
    counted = CodeStatistics(codes, size)
    values = (
        model.nll_per_code(held_out, [_prompt(clip) for clip in test]).tolist(),
        model.nll_per_code(held_out).tolist(),
        [counted.unigram_nll(sequence) for sequence in held_out],
        [counted.bigram_nll(sequence) for sequence in held_out],
    )
    for name, of_clips in zip(names, values, strict=True):
        weighted = [(value, len(codes)) for value, codes in zip(of_clips, held_out, strict=True)]
        figures.add(name, test, weighted, _weighted)
    return None


def naming(
    figures: Figures, model: MotionLM, train: Sequence[Example], test: Sequence[Clip], size: int
) -> dict[tuple[str, int], str]:
    """Whether the text that the model writes about held-out motion names its label, and no other.

    Beside it: choosing among the labels by likelihood, the nearest training clip, the commonest label, and chance.
    Returns the text for each clip of the test split by (key, segment).
    """
    names = ("naming_accuracy", "scoring_accuracy", "naming_nearest_neighbour", "naming_majority", "naming_chance")
    if not test:
        figures.skip(names, NO_TEST)
        return {}
    texts = model.text_from_motion([clip.codes for clip in test])
    said = {(clip.key, clip.segment): text for clip, text in zip(test, texts, strict=True)}
    labelled = [clip for clip in test if clip.label]
    taught = [(example.label, example.codes) for example in train if example.label]
    known = sorted({label for label, _ in taught})
    if not labelled or len(known) < 2:
        figures.skip(names, NO_LABELS if not labelled else ONE_LABEL)
        return said
    # A label that only the test split has stays in: the model fails on it, as it would for a user.
    labels = sorted({*known, *(clip.label for clip in labelled if clip.label)})
    held_out = [clip.codes for clip in labelled]
    scored = model.score_labels(held_out, labels).argmax(1).tolist()
    common = majority_label([label for label, _ in taught])
    nearest = nearest_labels([codes for _, codes in taught], [label for label, _ in taught], held_out, size)
    predictions: dict[str, list[str | None]] = {
        "naming_accuracy": [named_label(said[clip.key, clip.segment], labels) for clip in labelled],
        "scoring_accuracy": [labels[index] for index in scored],
        "naming_nearest_neighbour": list(nearest),
        "naming_majority": [common] * len(labelled),
    }
    for name, predicted in predictions.items():
        _add_accuracy(figures, name, labelled, predicted)
    figures.overall["naming_chance"] = Figure(value=1 / len(labels), n=len(labels))
    truth = [clip.label or "" for clip in labelled]
    counts = confusion(truth, predictions["naming_accuracy"], labels)
    figures.confusions["naming"] = {"labels": labels, "counts": counts}
    return said


def generate(
    model: MotionLM,
    tokenizer: MotionTokenizer,
    prompts: Sequence[tuple[str, str, str | None]],
    sampling: SamplingConfig,
    seed: int,
) -> list[Sample]:
    """A motion for each (prompt, sport, label); sample i is drawn from `seed + i`."""
    codes = model.motion_from_text([prompt for prompt, _, _ in prompts], seed, sampling)
    valid = [bool(row) and min(row) >= 0 and max(row) < tokenizer.codebook_size for row in codes]
    motions = iter(tokenizer.decode_many([row for row, fine in zip(codes, valid, strict=True) if fine]))
    return [
        Sample(prompt, sport, label, tuple(row), next(motions) if fine else None)
        for (prompt, sport, label), row, fine in zip(prompts, codes, valid, strict=True)
    ]


def recognition(
    figures: Figures, evaluator: Evaluator, labels: Sequence[str], samples: Sequence[Sample], test: Sequence[Clip],
    reconstructions: Sequence[Motion],
) -> None:  # fmt: skip
    """Whether the judge finds the label that was asked for: in generated motion, in the real one, and in the real one
    after the tokenizer (what is lost there, no language model can give back)."""
    names = ("recognised_generated", "recognised_reconstructed", "recognised_real", "recognised_chance")
    if len(labels) < 2:
        return figures.skip(names, ONE_LABEL)
    figures.overall["recognised_chance"] = Figure(value=1 / len(labels), n=len(labels))
    found = judged(evaluator, labels, [sample.motion for sample in samples])
    _add_accuracy(figures, "recognised_generated", samples, found)
    asked = [sample.label or "" for sample in samples]
    counts = confusion(asked, found, labels)
    figures.confusions["recognition"] = {"labels": list(labels), "counts": counts}
    real = [(clip, motion) for clip, motion in zip(test, reconstructions, strict=True) if clip.label]
    if not real:
        return figures.skip(names[1:3], NO_LABELS if test else NO_TEST)
    clips = [clip for clip, _ in real]
    _add_accuracy(figures, names[1], clips, judged(evaluator, labels, [motion for _, motion in real]))
    _add_accuracy(figures, names[2], clips, judged(evaluator, labels, [clip.motion for clip in clips]))
    return None


def judged(evaluator: Evaluator, labels: Sequence[str], motions: Sequence[Motion | None]) -> list[str | None]:
    """The label whose text fits each motion best; None where there is no motion."""
    present = [motion for motion in motions if motion is not None]
    best = iter(evaluator.similarity(present, labels).argmax(1).tolist() if present else [])
    return [None if motion is None else labels[next(best)] for motion in motions]


def agreement_with_held_out(
    figures: Figures, samples: Sequence[Sample], train: Sequence[Example], test: Sequence[Clip]
) -> None:
    """Validity, length and edit distance of generated codes against held-out clips of the same label.

    `edit_distance_real` is what real training clips of that label reach: another person's take of the movement.
    """
    if samples:
        figures.add("valid_share", samples, [sample.motion is not None for sample in samples], _share)
    else:
        figures.skip(["valid_share"], "nothing was generated: the training clips have no label")
    names = ("length_error", "edit_distance", "edit_distance_real")
    references = {clip.label for clip in test if clip.label}
    compared = [sample for sample in samples if sample.label in references and sample.codes]
    real = [clip for clip in train if clip.label in references]
    if not compared:
        return figures.skip(names, NO_TEST if not test else "no generated label is in the test split")

    def held_out(label: str | None) -> list[tuple[int, ...]]:
        return [clip.codes for clip in test if clip.label == label]

    lengths = [length_error(len(case.codes), [len(codes) for codes in held_out(case.label)]) for case in compared]
    distances = [min(edit_distance(case.codes, codes) for codes in held_out(case.label)) for case in compared]
    figures.add("length_error", compared, lengths, average)
    figures.add("edit_distance", compared, distances, average)
    distances = [min(edit_distance(clip.codes, codes) for codes in held_out(clip.label)) for clip in real]
    figures.add("edit_distance_real", real, distances, average)
    return None


def retrieval(figures: Figures, evaluator: Evaluator, test: Sequence[Clip], samples: Sequence[Sample]) -> None:
    """R-Precision of held-out texts: real motion, and motion generated from each text. Needs no labels."""
    names = [f"r_precision_{k}_{of}" for k in RANKS for of in ("real", "generated", "chance")]
    described = described_clips(test)
    if len(described) < 2:
        return figures.skip(names, NO_TEST if not test else "fewer than two different texts in the test split")
    texts = [clip.texts[-1] for clip in described]
    embedded = evaluator.embed_texts(texts)
    real = matching(evaluator.embed_motions([clip.motion for clip in described]), embedded, texts)
    generated = matching(_embedded(evaluator, samples), embedded, texts)
    for k, of_real, of_generated in zip(RANKS, real.r_precision, generated.r_precision, strict=True):
        figures.overall[f"r_precision_{k}_real"] = of_real
        figures.overall[f"r_precision_{k}_generated"] = of_generated
        figures.overall[f"r_precision_{k}_chance"] = Figure(value=chance_of_precision(texts, k), n=len(texts))
    return None


def _embedded(evaluator: Evaluator, samples: Sequence[Sample]) -> np.ndarray:
    """(N, E) embeddings, NaN where a sample is not valid."""
    vectors = np.full((len(samples), evaluator.config.embedding_size), np.nan, np.float32)
    valid = [index for index, sample in enumerate(samples) if sample.motion is not None]
    vectors[valid] = evaluator.embed_motions([sample.motion for sample in samples if sample.motion is not None])
    return vectors


def described_clips(test: Sequence[Clip]) -> list[Clip]:
    """Held-out clips with different texts, at most `TEXTS_RANKED`, the first in the order of the split."""
    by_text = {clip.texts[-1]: clip for clip in reversed(test) if clip.texts}
    return list(reversed(by_text.values()))[:TEXTS_RANKED]


def label_prompts(train: Sequence[Example], samples_per_label: int) -> list[tuple[str, str, str | None]]:
    """(prompt, sport, label): every label of the training clips, `samples_per_label` times, in its commonest sport."""
    sports: dict[str, Counter[str]] = {}
    for clip in train:
        if clip.label:
            sports.setdefault(clip.label, Counter())[clip.sport] += 1
    return [
        (label, counts.most_common(1)[0][0], label)
        for label, counts in sorted(sports.items())
        for _ in range(samples_per_label)
    ]


def _prompt(clip: Clip) -> str:
    return clip.label or next(iter(clip.texts), "")


def _weighted(cases: Sequence[tuple[float, int]]) -> Figure:
    return average([value for value, _ in cases], [weight for _, weight in cases])


def _share(cases: Sequence[bool]) -> Figure:
    return share(sum(cases), len(cases))


def _add_accuracy(figures: Figures, name: str, cases: Sequence[Labelled], predicted: Sequence[str | None]) -> None:
    figures.add(name, cases, [case.label == found for case, found in zip(cases, predicted, strict=True)], _share)
