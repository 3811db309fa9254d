"""What the report plays: for each prompt a real motion, what the tokenizer keeps of it, and a generated one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posellm_assets.evaluation.clips import Clip
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.measurements import Sample, judged
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import placed

MAX_PROMPTS = 12
MAX_S = 6.0


def showcase(
    evaluator: Evaluator,
    labels: Sequence[str],
    samples: Sequence[Sample],
    test: Sequence[Clip],
    reconstructions: Sequence[Motion],
    said: Mapping[tuple[str, int], str],
) -> list[dict[str, Any]]:
    """A row for each prompt (at most `MAX_PROMPTS`): the panels, each with its motion and what the judge says of it.

    A prompt without a held-out clip of its own shows the generated motion alone.
    """
    rows = []
    for prompt in list(dict.fromkeys(sample.prompt for sample in samples))[:MAX_PROMPTS]:
        sample = next(sample for sample in samples if sample.prompt == prompt)
        panels: list[tuple[str, Motion | None]] = []
        heard = None
        for clip, reconstruction in zip(test, reconstructions, strict=True):
            if prompt == clip.label or prompt in clip.texts:
                # Codes stand for four frames each: the real motion is cut to theirs, so that the two stay in step.
                real = clip.motion.cut(0, len(reconstruction))
                panels = [(f"real: {clip.key}", real), ("after the tokenizer", reconstruction)]
                heard = said[clip.key, clip.segment]
                break
        panels.append(("generated", sample.motion))
        verdicts = (
            judged(evaluator, labels, [motion for _, motion in panels]) if len(labels) > 1 else [None] * len(panels)
        )
        rows.append(
            {
                "prompt": prompt,
                "label": sample.label,
                "heard": heard,
                "panels": [
                    {"title": title, "verdict": verdict, "motion": _played(motion)}
                    for (title, motion), verdict in zip(panels, verdicts, strict=True)
                ],
            }
        )
    return rows


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
