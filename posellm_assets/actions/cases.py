"""The clips of a dataset of actions as the members of the ensemble are asked about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from posellm_assets.actions.dataset.clips import ActionDataset, ActionExample
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import SHORTEST_S, LabelledMotion
from posellm_assets.actions.members.members import ActionClip
from posellm_assets.actions.recogniser import part_of
from posellm_assets.motion.motion import Motion


def cases_of(
    dataset: ActionDataset, examples: Sequence[ActionExample], motions: Mapping[str, Path]
) -> list[ActionClip]:
    """A case for each example, with its motion where `motions` has a file for the example's video."""
    clips = [dataset.clip_of(example) for example in examples]
    return [
        ActionClip(clip.start_s, clip.end_s, clip.video, _motion(example, motions), clip.hit_s, clip.box)
        for clip, example in zip(clips, examples, strict=True)
    ]


def labelled_motions(
    examples: Sequence[ActionExample], cases: Sequence[ActionClip], label_set: LabelSet
) -> list[LabelledMotion]:
    """Every stretch without a gap of the cases' motions, with its class and that of its mirror image."""
    mirrored = label_set.mirrored()
    return [
        LabelledMotion(stretch, example.class_id, mirrored.get(example.class_id))
        for example, case in zip(examples, cases, strict=True)
        for stretch in (case.motion.segments(SHORTEST_S) if case.motion else [])
    ]


def _motion(example: ActionExample, motions: Mapping[str, Path]) -> Motion | None:
    path = motions.get(example.key or "")
    return part_of(Motion.read(path), example.start_s, example.end_s) if path else None
