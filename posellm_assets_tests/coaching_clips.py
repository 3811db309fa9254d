"""Measured clips with planted faults from exact truth: what a flawless pose estimator would have seen."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.demo.footage import FPS, SIZE_PX, ClipPlan, plan, rendered_athlete, with_faults
from posellm_assets.demo.skeleton import landmarks
from posellm_assets.files import write_json
from posellm_assets.footage.manifest import read_manifest, write_manifest
from posellm_assets.footage.register import register
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses, SubjectPoses
from posellm_assets_tests.clips import write_clip

DEEP = DemoRepetition(
    "shallow", strength=1.2
)  # exact joints sink farther than estimated ones, on which limits were set


def planted(label: str, repetitions: Sequence[DemoRepetition], azimuth_deg: float = 10.0) -> ClipPlan:
    """A clip of the demo's first athlete of that label with these repetitions, led by the right side."""
    clip = next(
        clip for clip in plan() if clip.label == label and clip.side == ("left" if "left" in label else "right")
    )
    return with_faults(replace(clip, camera=replace(clip.camera, azimuth_deg=azimuth_deg)), repetitions)


@cache
def measured(label: str, repetitions: tuple[DemoRepetition, ...], azimuth_deg: float = 10.0) -> MeasuredClip:
    """The clip as it would be measured without error, every joint visible."""
    return _measured(planted(label, repetitions, azimuth_deg), label)


@cache
def raised(*arms: str) -> MeasuredClip:
    """Arm raises, one after the other, by whom: "left", "right" or "both" at once."""
    clip = planted("arm raise", (DemoRepetition(),))
    up, places = {"left": {"l_arm": 166.0}, "right": {"r_arm": 166.0}, "both": {"b_arm": 166.0}}, len(arms)
    poses = [pose for arm in arms for pose in ({}, up[arm])]
    poses[0] = clip.movement.keys[0][1]
    keys = tuple((place / (2 * places), pose) for place, pose in enumerate(poses))
    movement = clip.movement.model_copy(update={"keys": keys, "cycle_s": clip.movement.cycle_s / 2 * places})
    return _measured(with_faults(replace(clip, movement=movement), (DemoRepetition(),)), "arm raise")


def performed(
    label: str,
    *poses: dict[str, float],
    step_s: float = 0.6,
    azimuth_deg: float = 10.0,
    swinging: str = "",
    lying: bool = False,
) -> MeasuredClip:
    """Any movement: key poses `step_s` apart, each as `demo.posing` takes it, held for a moment at both ends.

    The legs in `swinging` ("l", "r", "lr") do not stand. Somebody who is `lying` does it face down.
    """
    clip = planted("squat", (DemoRepetition(),), azimuth_deg)
    keys = tuple((place / len(poses), pose) for place, pose in enumerate(poses))
    movement = clip.movement.model_copy(
        update={"keys": keys, "cycle_s": step_s * len(poses), "swinging_legs": swinging}
    )
    plan = with_faults(replace(clip, movement=movement, tempo=1.0, amplitude=1.0), (DemoRepetition(),))
    return _measured(plan, label, np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) if lying else np.eye(3))


def _measured(clip: ClipPlan, label: str, turn: np.ndarray = np.eye(3)) -> MeasuredClip:  # noqa: B008
    points = landmarks(rendered_athlete(clip).bones) @ turn.T
    centred = points - points[:, 23:25].mean(1, keepdims=True)
    image = clip.camera.project(points)[0] / SIZE_PX
    ones = np.ones(points.shape[:2], np.float32)
    subject = SubjectPoses(
        time_s=np.arange(len(points)) / FPS,
        landmarks=np.concatenate([image, 0 * image[..., :1]], -1).astype(np.float32),
        visibility=ones,
        presence=ones,
        world=(centred @ clip.camera.axes.T * [1, -1, -1]).astype(np.float32),
        width=SIZE_PX,
        height=SIZE_PX,
        fps=FPS,
    )
    return MeasuredClip(f"fitness.{clip.movement.name.replace(' ', '-')}.0123abcd", label, subject,
                        motion_from_poses(subject, MotionConfig()))  # fmt: skip


def add(
    lake: Lake,
    number: int,
    folder: str,
    repetitions: tuple[DemoRepetition, ...],
    registered_at: str,
    participant: str = "Ana",
) -> str:
    """A squatting athlete's video with poses and motion, from the folder that names its label, and its key."""
    source = f"gym/{folder}/{number}.mp4" if folder else f"gym/{number}.mp4"
    path = lake.raw / source
    write_json(path.with_name(path.name + ".json"), {"participant": participant})
    write_clip(path, variant=number)
    key = register(lake, source).key or ""
    clip = measured("squat", repetitions)
    subject = clip.subject
    alone = (values[:, None] for values in (subject.landmarks, subject.visibility, subject.presence, subject.world))
    Poses(subject.time_s, *alone, subject.width, subject.height, subject.fps, "").write(lake.poses(key))
    clip.motion.write(lake.motion(key))
    write_manifest(lake, read_manifest(lake, key).model_copy(update={"registered_at": registered_at}))
    return key
