"""Motion from text: what is generated, whether it can be decoded, and how it fits the texts of held-out clips.

Each function takes clips and fills `Figures`; a figure that cannot be measured is skipped with its reason.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from rapidfuzz.distance import Levenshtein

from posellm_assets.evaluation.clips import FilmedExample, MotionExample
from posellm_assets.evaluation.distributions import (
    RANKS,
    chance_of_precision,
    diversity,
    fid,
    matching,
    multimodality,
)
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import NO_LABELS, NO_TEST, ONE_TEXT, Figures, Labelled
from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.reports.metrics import NOT_NEGATIVE, SHARE, Figure, average, distinct_n, length_error, share

MATCHING = (*(f"r_precision_{k}" for k in RANKS), "mm_dist")
AGREEMENT = ("length_error", "edit_distance")
N_GRAMS = (1, 2)
SHUFFLES = 10


Prompt = tuple[str, str, str | None]
"""What is asked for, and the sport and the label that it is about."""


@dataclass(frozen=True)
class Sample:
    """A generated motion: what was asked, the codes that came, and the motion they stand for (None where invalid)."""

    prompt: str
    sport: str
    label: str | None
    codes: tuple[int, ...]
    motion: Motion | None
    key: None = None

    @property
    def about(self) -> str:
        """What the model was asked for."""
        return self.prompt


@dataclass(frozen=True)
class Asked:
    """Held-out texts, one for each of N clips, and the motions that answer them.

    `draws` are S lists of N generated samples, `nearest` the N training clips with the most similar texts,
    and `reconstructed` the N clips' own motions after the tokenizer.
    """

    clips: list[FilmedExample]
    draws: list[list[Sample]]
    nearest: list[FilmedExample]
    reconstructed: list[Motion]

    @property
    def texts(self) -> list[str]:
        """What is asked for: the last text of each clip, which says most."""
        return [clip.texts[-1] for clip in self.clips]

    def labelled(self) -> "Asked":
        """Only those of the clips that have a label, with the motions that answer them."""
        kept = [index for index, clip in enumerate(self.clips) if clip.label]
        return Asked(
            clips=[self.clips[index] for index in kept],
            draws=[[draw[index] for index in kept] for draw in self.draws],
            nearest=[self.nearest[index] for index in kept],
            reconstructed=[self.reconstructed[index] for index in kept],
        )


def label_sports(train: Sequence[MotionExample]) -> dict[str, str]:
    """Every label of the training clips, in alphabetical order, with its commonest sport."""
    sports: dict[str, Counter[str]] = {}
    for clip in train:
        if clip.label:
            sports.setdefault(clip.label, Counter())[clip.sport] += 1
    return {label: counts.most_common(1)[0][0] for label, counts in sorted(sports.items())}


def asked_clips(test: Sequence[FilmedExample], most: int, seed: int) -> list[FilmedExample]:
    """Held-out clips with different texts, at most `most`, chosen at random where there are more."""
    by_text = {clip.texts[-1]: clip for clip in reversed(test) if clip.texts}
    clips = list(reversed(by_text.values()))
    if len(clips) <= most:
        return clips
    return [clips[index] for index in sorted(random.Random(seed).sample(range(len(clips)), most))]


def generate(
    model: MotionLM,
    tokenizer: MotionTokenizer,
    prompts: Sequence[Prompt],
    sampling: SamplingConfig,
    seed: int,
) -> list[Sample]:
    """A motion for each prompt; sample i is drawn from `seed + i`."""
    if not prompts:
        return []
    codes = model.motion_from_text([prompt for prompt, _, _ in prompts], seed, sampling)
    valid = [_decodable(row, tokenizer) for row in codes]
    motions = iter(tokenizer.decode_many([row for row, fine in zip(codes, valid, strict=True) if fine]))
    return [
        Sample(prompt, sport, label, tuple(row), next(motions) if fine else None)
        for (prompt, sport, label), row, fine in zip(prompts, codes, valid, strict=True)
    ]


def validity(figures: Figures, samples: Sequence[Sample]) -> None:
    """The share of generated code sequences that stand for a motion."""
    if not samples:
        return figures.skip(["valid_share"], "nothing was generated: no clip has a text or a label to ask for")
    valid = [sample.motion is not None for sample in samples]
    return figures.add("valid_share", samples, valid, lambda cases: share(sum(cases), len(cases)))


def held_out_texts(figures: Figures, evaluator: Evaluator, asked: Asked, seed: int) -> None:
    """The field's measures of motion for held-out texts, for the model and for what it is read beside.

    Beside `generated` stand `real` (the clip that the text is about), `reconstructed` (that clip after the tokenizer:
    the ceiling for any model of its codes), `nearest` (the training clip with the most similar text) and `shuffled`
    (the real motion of another text). FID is against real held-out clips of other texts (`distributions.fid`).
    """
    rows = ("generated", "real", "reconstructed", "nearest", "shuffled")
    names = [f"{name}_{row}" for row in rows for name in (*MATCHING, "diversity")]
    names += [f"fid_{row}" for row in rows[:-1]] + ["multimodality_generated", "r_precision_1_chance"]
    if len(asked.clips) < 2:
        return figures.skip(names, ONE_TEXT if asked.clips else NO_TEST)
    texts = asked.texts
    spoken = evaluator.embed_texts(texts)
    generated = np.stack([_embedded(evaluator, draw) for draw in asked.draws])
    real = evaluator.embed_motions([clip.motion for clip in asked.clips])
    motions = {
        "generated": generated,
        "real": real[None],
        "reconstructed": evaluator.embed_motions(asked.reconstructed)[None],
        "nearest": evaluator.embed_motions([clip.motion for clip in asked.nearest])[None],
        "shuffled": real[shuffled(len(texts), SHUFFLES, seed)],
    }
    for row, draws in motions.items():
        add_matching(figures, row, asked.clips, draws, spoken, texts, seed)
        valid = np.isfinite(draws).all((0, 2))
        whole = draws[:, valid]
        if whole.shape[1] < 2:
            figures.skip([f"diversity_{row}", f"fid_{row}"], "fewer than two of the motions could be decoded")
            continue
        figures.overall[f"diversity_{row}"] = diversity(whole, seed=seed)
        if whole.shape[1] < 4:
            figures.skip([f"fid_{row}"], "fewer than four motions, two for either half")
        elif row != "shuffled":
            figures.overall[f"fid_{row}"] = fid(real[valid], whole, seed)
        if row == "generated" and len(draws) > 1:
            figures.overall["multimodality_generated"] = multimodality(whole, seed=seed)
    for k in RANKS:
        figures.overall[f"r_precision_{k}_chance"] = Figure(value=chance_of_precision(texts, k), n=len(texts))
    return None


def add_matching(
    figures: Figures,
    row: str,
    clips: Sequence[FilmedExample],
    motions: np.ndarray,
    texts: np.ndarray,
    groups: Sequence[str],
    seed: int,
) -> None:
    """R-Precision and MM-Dist of (S, N, E) motions and (N, E) texts, for all and by sport, as `<measure>_<row>`."""

    def measure(members: list[int]) -> list[Figure | None]:
        if len({groups[index] for index in members}) < 2:
            return [None for _ in MATCHING]
        about = [groups[index] for index in members]
        found = matching(motions[:, members], texts[members], about, seed)
        return [*found.r_precision, found.mm_dist]

    figures.add_together([f"{name}_{row}" for name in MATCHING], clips, measure)


def agreement_with_held_out(
    figures: Figures, asked: Asked, train: Sequence[MotionExample], test: Sequence[FilmedExample], seed: int
) -> None:
    """Length and normalised edit distance of codes to the held-out takes of the same label, and distinct-n.

    Only held-out takes are references: beside training takes, a model that repeats them by heart looks best. `real` is
    the floor, what training takes of the same label (other people's) reach; `shuffled` are real takes of other labels.
    """
    labelled = asked.labelled()
    if not labelled.clips:
        rows = ("generated", "real", "nearest", "shuffled")
        names = [f"{name}_{row}" for row in rows for name in AGREEMENT]
        names += [f"distinct_{n}_{row}" for n in N_GRAMS for row in rows[:-1]]
        return figures.skip(names, NO_LABELS if test else NO_TEST)
    references: dict[str | None, list[tuple[int, ...]]] = defaultdict(list)
    for clip in test:
        references[clip.label].append(clip.codes)
    takes = [clip for clip in train if clip.label and clip.label in references]
    for row, compared in _compared(labelled, takes, seed).items():
        _add_agreement(figures, row, compared, references)
    _add_variety(figures, asked)
    return None


def _compared(
    asked: Asked, takes: Sequence[MotionExample], seed: int
) -> dict[str, list[tuple[Labelled, tuple[int, ...]]]]:
    """By row, codes and what stands for them in the figures: something of the label whose takes they are held to."""
    clips, order = asked.clips, shuffled(len(asked.clips), 1, seed)[0]
    return {
        "generated": [(sample, sample.codes) for draw in asked.draws for sample in draw if sample.codes],
        "real": [(take, take.codes) for take in takes],
        "nearest": [(clip, nearest.codes) for clip, nearest in zip(clips, asked.nearest, strict=True)],
        "shuffled": [
            (clip, clips[other].codes)
            for clip, other in zip(clips, order, strict=True)
            if clips[other].label != clip.label
        ],
    }


def _add_agreement(
    figures: Figures,
    row: str,
    compared: Sequence[tuple[Labelled, tuple[int, ...]]],
    references: Mapping[str | None, Sequence[tuple[int, ...]]],
) -> None:
    """How far codes are from the nearest of the `references` of their label, in length and in edits."""
    names = [f"{name}_{row}" for name in AGREEMENT]
    if not compared:
        return figures.skip(names, f"no clip of the labels asked for can stand in the row {row!r}")
    cases = [case for case, _ in compared]
    wanted = [(codes, references[case.label]) for case, codes in compared]
    lengths = [length_error(len(codes), [len(other) for other in others]) for codes, others in wanted]
    distances = [min(Levenshtein.normalized_distance(codes, other) for other in others) for codes, others in wanted]
    for name, values, limits in zip(names, (lengths, distances), (NOT_NEGATIVE, SHARE), strict=True):
        figures.add(name, cases, values, partial(average, limits=limits))
    return None


def _add_variety(figures: Figures, asked: Asked) -> None:
    """distinct-n of the codes of each row; absent where no sequence is so long."""
    rows = {
        "generated": [sample.codes for sample in asked.draws[0]],
        "real": [clip.codes for clip in asked.clips],
        "nearest": [clip.codes for clip in asked.nearest],
    }
    for n in N_GRAMS:
        for row, codes in rows.items():
            if any(len(sequence) >= n for sequence in codes):
                figures.overall[f"distinct_{n}_{row}"] = distinct_n(codes, n)


def shuffled(count: int, times: int, seed: int) -> np.ndarray:
    """(times, count) indices in which nothing stays in its own place; `count` is at least 2."""
    rng = np.random.default_rng(seed)
    orders = np.empty((times, count), int)
    for order, row in zip((rng.permutation(count) for _ in range(times)), orders, strict=True):
        row[order] = np.roll(order, 1)
    return orders


def _embedded(evaluator: Evaluator, samples: Sequence[Sample]) -> np.ndarray:
    """(N, E) embeddings, NaN where a sample is not valid."""
    vectors = np.full((len(samples), evaluator.config.embedding_size), np.nan, np.float32)
    valid = [index for index, sample in enumerate(samples) if sample.motion is not None]
    vectors[valid] = evaluator.embed_motions([sample.motion for sample in samples if sample.motion is not None])
    return vectors


def _decodable(codes: Sequence[int], tokenizer: MotionTokenizer) -> bool:
    """Whether codes are whole time steps, each code in its place, as `MotionTokenizer.decode` wants them."""
    per_place = tokenizer.codebook_size // tokenizer.codes_per_step
    in_turn = all(code // per_place == place % tokenizer.codes_per_step for place, code in enumerate(codes))
    return bool(codes) and len(codes) % tokenizer.codes_per_step == 0 and in_turn
