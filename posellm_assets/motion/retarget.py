"""A motion on another skeleton, joint by joint of the same name: how motion capture becomes the motion of the lake.

A joint keeps the place that it has in the source, so directions and lengths of bones stay those of the person who
moved. A joint that the source lacks is derived by a rule below and then noted in the motion's `unknown`, or, where no
rule fits, refused: a foot's direction cannot be had from an ankle.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion, TooLittleSeen
from posellm_assets.motion.resampling import resample
from posellm_assets.motion.skeletons import BODY, Skeleton

Joints = dict[str, np.ndarray]

# In front of the ears' middle, in lengths of the trunk: 0.11 m on a person whose trunk is 0.5 m.
_NOSE = 0.22


def retarget(motion: Motion, target: Skeleton = BODY) -> Motion:
    """The motion on `target`; see the module's docstring for what is kept, derived and refused.

    BODY's pelvis and neck are by its definition the middles of the hips and of the shoulders, whatever the source
    calls so. Raises ValueError naming the joints that cannot be had.
    """
    if motion.skeleton == target:
        return motion
    source: Joints = {
        name: motion.joints[:, joint].astype(np.float64) for joint, name in enumerate(motion.skeleton.joints)
    }
    if target == BODY:
        source |= {"pelvis": _middle(source, "hip"), "neck": _middle(source, "shoulder")}
    found: Joints = {}
    derived = []
    missing = []
    for name in target.joints:
        if name in source:
            found[name] = source[name]
        elif (joint := _derived(name, source)) is not None:
            found[name] = joint
            derived.append(name)
        else:
            missing.append(name)
    if missing:
        raise ValueError(
            f"skeleton {motion.skeleton.name} has no {', '.join(missing)}, and nothing tells where they would be; name "
            "them in the JSON file beside the source, or keep the source's own skeleton"
        )
    return replace(
        motion,
        joints=np.stack([found[name] for name in target.joints], axis=1).astype(np.float32),
        guessed=np.zeros((0, 0), bool),  # motion capture saw all its joints
        skeleton=target,
        unknown=(*motion.unknown, *derived),
    )


def motion_from_capture(capture: Motion, config: MotionConfig) -> Motion:
    """The motion on the BODY skeleton, or its own where `config.skeleton` is "source", at `config.fps`.

    Nothing else is changed: motion capture knows the size of a body and its way over the floor. Raises ValueError where
    joints are missing, TooLittleSeen where there is no stretch of `config.min_segment_s`.
    """
    motion = resample(retarget(capture) if config.skeleton == "body" else capture, config.fps)
    if not motion.segments(config.min_segment_s):
        longest_s = max((segment.duration_s for segment in motion.segments(0.0)), default=0.0)
        raise TooLittleSeen(
            f"the longest stretch without a gap is {longest_s:.2f} s, of {config.min_segment_s} s that a motion needs "
            "(motion.min_segment_s)"
        )
    made = {"source_skeleton": capture.skeleton.name, "settings": config.model_dump()}
    return replace(motion, parameters={**motion.parameters, **made})


def _derived(name: str, source: Joints) -> np.ndarray | None:
    """The place of a joint that the source lacks, (T, 3), or None where no rule gives it."""
    side, _, part = name.rpartition("_")
    rule = _RULES.get(part)
    try:
        return rule(source, side) if rule else None
    except KeyError:
        return None


def _middle(source: Joints, part: str) -> np.ndarray:
    return (source[f"left_{part}"] + source[f"right_{part}"]) / 2


def _along_trunk(share: float) -> Callable[[Joints, str], np.ndarray]:
    def rule(source: Joints, _: str) -> np.ndarray:
        return (1 - share) * _middle(source, "hip") + share * _middle(source, "shoulder")

    return rule


def _collar(source: Joints, side: str) -> np.ndarray:
    return 0.25 * source[f"{side}_shoulder"] + 0.75 * _middle(source, "shoulder")


def _nose(source: Joints, _: str) -> np.ndarray:
    """In front of the head, across the shoulders' line and the line from the neck to the head."""
    neck = _middle(source, "shoulder")
    head = source["head"] if "head" in source else _middle(source, "ear")
    trunk_m = np.linalg.norm(neck - _middle(source, "hip"), axis=-1, keepdims=True)
    ahead = np.cross(source["left_shoulder"] - source["right_shoulder"], head - neck)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    return np.asarray(head + _NOSE * np.nanmedian(trunk_m) * ahead)


_RULES: dict[str, Callable[[Joints, str], np.ndarray]] = {
    "pelvis": lambda source, _: _middle(source, "hip"),
    "neck": lambda source, _: _middle(source, "shoulder"),
    "spine": _along_trunk(0.3),
    "chest": _along_trunk(0.6),
    "head": lambda source, _: _middle(source, "ear"),
    "nose": _nose,
    "collar": _collar,
}
