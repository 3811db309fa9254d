"""Whether the evaluator finds in a motion the label that was asked for: in a sentence, by its bare name, and beside
both what real motion and retrieval reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from posellm_assets.evaluation.clips import FilmedExample
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.figures import NO_LABELS, NO_TEST, ONE_LABEL, Figures
from posellm_assets.evaluation.phrasings import Sentence
from posellm_assets.evaluation.text_to_motion import Sample
from posellm_assets.motion.motion import Motion
from posellm_assets.reports.metrics import Figure, accuracy, confusion

NO_TAUGHT = "no clip of the test split is of a movement that was taught"
NO_SENTENCE = "no sentence is left to ask with: every phrasing is a training text, or none is known in the language"


@dataclass(frozen=True)
class Spoken:
    """Sentences, a motion generated from each, and for each the training clip with the most similar text."""

    sentences: list[Sentence]
    samples: list[Sample]
    nearest: list[FilmedExample]


def recognition(
    figures: Figures,
    evaluator: Evaluator,
    labels: Sequence[str],
    spoken: Spoken,
    bare: Sequence[Sample],
    test: Sequence[FilmedExample],
    reconstructions: Sequence[Motion],
) -> list[dict[str, Any]]:
    """Add `recognised_<what>`; returns what each sentence's motion was taken for, as a row for the report.

    `sentences` is the figure that counts, `labels` what the bare names give. `nearest` is retrieval: the motion of the
    training clip whose text is most like the sentence, which the evaluator was trained on. `reconstructed` is the
    ceiling, real held-out motion of the labels after the tokenizer (what is lost there, no language model can give
    back), `real` the same motion as it was filmed.
    """
    names = [f"recognised_{name}" for name in ("sentences", "nearest", "labels", "reconstructed", "real", "chance")]
    if len(labels) < 2:
        figures.skip(names, ONE_LABEL)
        return []
    figures.overall["recognised_chance"] = Figure(value=1 / len(labels), n=len(labels))
    figures.add_accuracy("recognised_labels", bare, judged(evaluator, labels, [sample.motion for sample in bare]))
    _real(figures, evaluator, labels, test, reconstructions)
    if not spoken.sentences:
        figures.skip(names[:2], NO_SENTENCE)
        return []
    found = judged(evaluator, labels, [sample.motion for sample in spoken.samples])
    figures.add_accuracy("recognised_sentences", spoken.samples, found)
    retrieved = judged(evaluator, labels, [clip.motion for clip in spoken.nearest])
    figures.add_accuracy("recognised_nearest", spoken.samples, retrieved)
    asked = [sentence.label for sentence in spoken.sentences]
    figures.confusions["recognition"] = {"labels": list(labels), "counts": confusion(asked, found, labels)}
    _by_language(figures, spoken.sentences, found)
    return [
        {"text": one.text, "language": one.language, "label": one.label, "judged": verdict}
        for one, verdict in zip(spoken.sentences, found, strict=True)
    ]


def judged(evaluator: Evaluator, labels: Sequence[str], motions: Sequence[Motion | None]) -> list[str | None]:
    """The label whose text fits each motion best; None where there is no motion."""
    present = [motion for motion in motions if motion is not None]
    best = iter(evaluator.similarity(present, labels).argmax(1).tolist() if present else [])
    return [None if motion is None else labels[next(best)] for motion in motions]


def _real(
    figures: Figures,
    evaluator: Evaluator,
    labels: Sequence[str],
    test: Sequence[FilmedExample],
    reconstructions: Sequence[Motion],
) -> None:
    # A movement that nothing was taught of is never asked for, so it lowers no ceiling of what is.
    real = [(clip, motion) for clip, motion in zip(test, reconstructions, strict=True) if clip.label in labels]
    if not real:
        why = NO_TEST if not test else NO_TAUGHT if any(clip.label for clip in test) else NO_LABELS
        return figures.skip(["recognised_reconstructed", "recognised_real"], why)
    clips, after = zip(*real, strict=True)
    figures.add_accuracy("recognised_reconstructed", clips, judged(evaluator, labels, after))
    figures.add_accuracy("recognised_real", clips, judged(evaluator, labels, [clip.motion for clip in clips]))
    return None


def _by_language(figures: Figures, sentences: Sequence[Sentence], found: Sequence[str | None]) -> None:
    """The share in each language, where there are several."""
    languages = list(dict.fromkeys(sentence.language for sentence in sentences))
    for language in languages if len(languages) > 1 else ():
        pairs = [(one.label, is_it) for one, is_it in zip(sentences, found, strict=True) if one.language == language]
        figures.overall[f"recognised_sentences_{language}"] = accuracy(*zip(*pairs, strict=True))
