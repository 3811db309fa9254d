"""Text from motion: how likely held-out motion is to the model, whether it names the movement, and how near its words
come to those of others.

Each function takes clips and fills `Figures`; a figure that cannot be measured is skipped with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from posellm_assets.evaluation.baselines import CodeStatistics, nearest_by_codes
from posellm_assets.evaluation.clips import FilmedExample, MotionExample
from posellm_assets.evaluation.distributions import RANKS, chance_of_precision
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import NO_LABELS, NO_TEST, ONE_LABEL, ONE_TEXT, Figures
from posellm_assets.evaluation.text_to_motion import MATCHING, add_matching, shuffled
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.motion import Motion
from posellm_assets.reports.metrics import Figure, average, confusion, majority_label, named_label
from posellm_assets.reports.text_metrics import bleu, chrf, rouge_l

WORDING = ("bleu", "rouge_l", "chrf")


@dataclass(frozen=True)
class Told:
    """Held-out clips, the model's text about each, and their motions after the tokenizer."""

    clips: Sequence[FilmedExample]
    said: Sequence[str]
    reconstructed: Sequence[Motion]

    def with_texts(self) -> "Told":
        """Only those of the clips that have texts of their own."""
        kept = [index for index, clip in enumerate(self.clips) if clip.texts]
        return Told(
            clips=[self.clips[index] for index in kept],
            said=[self.said[index] for index in kept],
            reconstructed=[self.reconstructed[index] for index in kept],
        )


def likelihood(
    figures: Figures, model: MotionLM, test: Sequence[FilmedExample], codes: Sequence[Sequence[int]], size: int
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
    figures: Figures,
    model: MotionLM,
    train: Sequence[MotionExample],
    told: Told,
    size: int,
) -> None:
    """Whether the text that the model writes about held-out motion names its label, and no other.

    Beside it: choosing among the labels by likelihood, the nearest training clip, the commonest label, and chance.

    Args:
        figures: to fill.
        model: chooses among the labels.
        train: examples whose labels are known.
        told: held-out clips and what the model says of them.
        size: of the codebook.
    """
    names = ("naming_accuracy", "scoring_accuracy", "naming_nearest_neighbour", "naming_majority", "naming_chance")
    if not told.clips:
        return figures.skip(names, NO_TEST)
    labelled = [(clip, text) for clip, text in zip(told.clips, told.said, strict=True) if clip.label]
    taught = [(example.label, example.codes) for example in train if example.label]
    known = sorted({label for label, _ in taught})
    if not labelled or len(known) < 2:
        return figures.skip(names, NO_LABELS if not labelled else ONE_LABEL)
    clips = [clip for clip, _ in labelled]
    # A label that only the test split has stays in: the model fails on it, as it would for a user.
    labels = sorted({*known, *(clip.label for clip in clips if clip.label)})
    held_out = [clip.codes for clip in clips]
    scored = model.score_labels(held_out, labels).argmax(1).tolist()
    nearest = nearest_by_codes([codes for _, codes in taught], held_out, size)
    named = [named_label(text, labels) for _, text in labelled]
    figures.add_accuracy("naming_accuracy", clips, named)
    figures.add_accuracy("scoring_accuracy", clips, [labels[index] for index in scored])
    figures.add_accuracy("naming_nearest_neighbour", clips, [taught[index][0] for index in nearest])
    common = majority_label([label for label, _ in taught])
    figures.add_accuracy("naming_majority", clips, [common] * len(clips))
    figures.overall["naming_chance"] = Figure(value=1 / len(labels), n=len(labels))
    counts = confusion([clip.label or "" for clip in clips], named, labels)
    figures.confusions["naming"] = {"labels": labels, "counts": counts}
    return None


def wording(
    figures: Figures, evaluator: Evaluator, train: Sequence[MotionExample], told: Told, size: int, seed: int
) -> None:
    """How near the model's texts come to the texts of the clips (BLEU, ROUGE-L, chrF), and to their motions in the
    space of the evaluator.

    Beside `said` stand `said_real` (a text of the clip itself, kept out of the references of all rows),
    `said_reconstructed` (the same beside the motion after the tokenizer, which is all that the model is shown),
    `said_nearest` (a text of the nearest training clip) and `said_shuffled` (a text of another held-out clip).

    Args:
        figures: to fill.
        evaluator: measures how near a text lies to a motion.
        train: examples to look for the nearest in.
        told: held-out clips and what the model says of them.
        size: of the codebook.
        seed: of batches and of the shuffle.
    """
    held_out = told.with_texts()
    clips, own = held_out.clips, [clip.texts[-1] for clip in held_out.clips]
    known = [example for example in train if example.texts]
    if len(set(own)) < 2 or not known:
        rows = ("said", "said_real", "said_nearest", "said_shuffled")
        names = [f"{name}_{row}" for row in rows for name in (*WORDING, *MATCHING)]
        return figures.skip(names, ONE_TEXT if told.clips else NO_TEST)
    labels = sorted({example.label for example in (*train, *clips) if example.label})
    motions = evaluator.embed_motions([clip.motion for clip in clips])[None]
    for row, texts in _texts_by_row(held_out, known, size, seed).items():
        _add_wording(figures, row, clips, texts)
        _add_label_named(figures, row, clips, texts, labels)
        add_matching(figures, row, clips, motions, evaluator.embed_texts(texts), own, seed)
    after = evaluator.embed_motions(held_out.reconstructed)[None]
    add_matching(figures, "said_reconstructed", clips, after, evaluator.embed_texts(own), own, seed)
    for k in RANKS:
        figures.overall[f"r_precision_{k}_said_chance"] = Figure(value=chance_of_precision(own, k), n=len(own))
    return None


def _texts_by_row(told: Told, known: Sequence[MotionExample], size: int, seed: int) -> dict[str, Sequence[str]]:
    """A text for each clip, by where it comes from: the model, the clip, the nearest of `known`, another clip."""
    own = [clip.texts[-1] for clip in told.clips]
    nearest = nearest_by_codes([example.codes for example in known], [clip.codes for clip in told.clips], size)
    return {
        "said": told.said,
        "said_real": own,
        "said_nearest": [known[index].texts[-1] for index in nearest],
        "said_shuffled": [own[index] for index in shuffled(len(own), 1, seed)[0]],
    }


def _add_wording(figures: Figures, row: str, clips: Sequence[FilmedExample], texts: Sequence[str]) -> None:
    """BLEU, ROUGE-L and chrF of `texts` to the texts of the clips but the last, which stands in `said_real`."""
    names = [f"{name}_{row}" for name in WORDING]
    if row == "said_real" and any(len(clip.texts) < 2 for clip in clips):  # it would be compared with itself
        return figures.skip(names, "some clips have a single text")
    references = [clip.texts[:-1] or clip.texts for clip in clips]

    def measure(members: list[int]) -> list[Figure]:
        chosen, wanted = [texts[index] for index in members], [references[index] for index in members]
        return [bleu(chosen, wanted), rouge_l(chosen, wanted), chrf(chosen, wanted)]

    return figures.add_together(names, clips, measure)


def _add_label_named(
    figures: Figures, row: str, clips: Sequence[FilmedExample], texts: Sequence[str], labels: Sequence[str]
) -> None:
    """Whether the texts name the labels of their clips, where there are several to name."""
    labelled = [(clip, named_label(text, labels)) for clip, text in zip(clips, texts, strict=True) if clip.label]
    if labelled and len(labels) > 1:
        of_label, named = zip(*labelled, strict=True)
        figures.add_accuracy(f"label_{row}", of_label, named)


def _prompt(clip: FilmedExample) -> str:
    return clip.label or next(iter(clip.texts), "")


def _weighted(cases: Sequence[tuple[float, int]]) -> Figure:
    return average([value for value, _ in cases], [weight for _, weight in cases])
