"""What the report plays: for a text the real motion, what the tokenizer keeps of it, and a generated one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posellm_assets.evaluation.clips import FilmedExample, segment_id
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.recognition import judged
from posellm_assets.evaluation.text_to_motion import Asked, Sample
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed

BEST_AND_WORST = 3
MAX_OTHERS = 8
MAX_SPOKEN = 12
MAX_S = 6.0
_BEST, _WORST = (f"The {BEST_AND_WORST} that fit their texts {how}" for how in ("best", "worst"))
_SPOKEN, _OTHERS = "Asked in a sentence that was never taught", "Others"


def showcase(
    evaluator: Evaluator,
    labels: Sequence[str],
    asked: Asked,
    spoken: Sequence[Sample],
    said: Mapping[tuple[str, int], str],
) -> list[dict[str, Any]]:
    """Rows of panels, each with its motion, what was asked for and what the evaluator says of it.

    The first row holds a motion for each label that was asked for in a sentence, of `spoken`, every time another
    sentence. Then comes a row for each held-out text shown: of the first draws for the held-out texts those that the
    evaluator finds nearest to their texts and farthest from them (none, where there are not twice as many), and one of
    each label besides. `said` is the model's text about each held-out clip.
    """
    rows = []
    if heard := _one_of_each(spoken):
        panels = [(f"“{sample.prompt}”", sample.motion, sample) for sample in heard]
        rows.append({"section": _SPOKEN, "prompt": None, "heard": None, "panels": _panels(evaluator, labels, panels)})
    for section, index in _chosen(evaluator, asked):
        clip, after, sample = asked.clips[index], asked.reconstructed[index], asked.draws[0][index]
        # Codes stand for whole steps: the real motion is cut to theirs, so that the two stay in step.
        real = clip.motion.cut(0, len(after))
        drawn = [(f"real: {clip.key}", real), ("after the tokenizer", after), ("generated", sample.motion)]
        panels = [(title, motion, sample) for title, motion in drawn]
        about = {"section": section, "prompt": sample.prompt, "heard": said[segment_id(clip)]}
        rows.append({**about, "panels": _panels(evaluator, labels, panels)})
    return rows


def _one_of_each(spoken: Sequence[Sample]) -> list[Sample]:
    """A sample of each label: of the first its first sentence, of the second its second, and so on."""
    of_label: dict[str | None, list[Sample]] = {}
    for sample in spoken:
        of_label.setdefault(sample.label, []).append(sample)
    return [samples[turn % len(samples)] for turn, samples in enumerate(of_label.values())][:MAX_SPOKEN]


def _chosen(evaluator: Evaluator, asked: Asked) -> list[tuple[str, int]]:
    """(section, index of the text) in the order of the page."""
    drawn = [(index, sample.motion) for index, sample in enumerate(asked.draws[0] if asked.draws else [])]
    valid = [(index, motion) for index, motion in drawn if motion is not None]
    ranked: list[int] = []
    if len(valid) >= 2 * BEST_AND_WORST:
        texts = evaluator.embed_texts([asked.texts[index] for index, _ in valid])
        fit = (evaluator.embed_motions([motion for _, motion in valid]) * texts).sum(1)
        ranked = [valid[place][0] for place in np.argsort(-fit, kind="stable")]
    best, worst = ranked[:BEST_AND_WORST], ranked[::-1][:BEST_AND_WORST]
    one_of_each: dict[str, int] = {}
    for index, clip in enumerate(asked.clips):
        if index not in (*best, *worst):
            one_of_each.setdefault(_movement(clip), index)
    others = list(one_of_each.values())[:MAX_OTHERS]
    return [*((_BEST, index) for index in best), *((_WORST, index) for index in worst),
            *((_OTHERS, index) for index in others)]  # fmt: skip


def _movement(clip: FilmedExample) -> str:
    return clip.label or clip.texts[-1]


def _panels(
    evaluator: Evaluator, labels: Sequence[str], panels: Sequence[tuple[str, Motion | None, Sample]]
) -> list[dict[str, Any]]:
    """A panel for each (title, motion, what it is held to)."""
    motions = [motion for _, motion, _ in panels]
    verdicts = judged(evaluator, labels, motions) if len(labels) > 1 else [None] * len(panels)
    return [
        {
            "title": title,
            "prompt": sample.prompt,
            "label": sample.label,
            "verdict": verdict,
            "fit": _fit(evaluator, motion, sample.prompt),
            "motion": _played(motion),
        }
        for (title, motion, sample), verdict in zip(panels, verdicts, strict=True)
    ]


def _fit(evaluator: Evaluator, motion: Motion | None, text: str) -> float | None:
    return None if motion is None else float(evaluator.similarity([motion], [text])[0, 0])


def _played(motion: Motion | None) -> dict[str, Any] | None:
    """Joints as whole millimetres, frame after frame, over the origin: what the player draws."""
    if motion is None:
        return None
    joints = placed(motion.cut(0, round(MAX_S * motion.fps))).joints
    return {
        "fps": motion.fps,
        "parents": list(motion.skeleton.parents),
        "left": [left for left, _ in motion.skeleton.mirror_pairs],
        "right": [right for _, right in motion.skeleton.mirror_pairs],
        "frames": np.rint(joints.reshape(len(joints), -1) * 1000).astype(int).tolist(),
    }
