"""The rendered athletes of the demo as a pose network without error would see them, without rendering a picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from posellm_assets.demo.footage import FPS, ClipPlan, plan
from posellm_assets.demo.posing import pose
from posellm_assets.demo.skeleton import landmarks
from posellm_assets.footage.writing import write_video
from posellm_assets.poses.poses import SubjectPoses


def takes(movement: str, seed: int = 0) -> list[ClipPlan]:
    """The clips of a movement by the athletes of a seed."""
    return [clip for clip in plan(seed) if clip.movement.name == movement]


def cycles(clip: ClipPlan, times: int) -> ClipPlan:
    """The clip with whole cycles, from the first pose on."""
    return replace(clip, phase=0.0, duration_s=times * clip.movement.cycle_s / clip.tempo)


def seen(*clips: ClipPlan) -> SubjectPoses:
    """The clips one after the other, with cuts between, as landmarks: a little noise, everything visible."""
    world, image = zip(*(_landmarks(clip) for clip in clips), strict=True)
    joints, picture = np.concatenate(world), np.concatenate(image)
    sure = np.ones(joints.shape[:2], np.float32)
    time_s = np.arange(len(joints)) / FPS
    cuts_s = tuple(float(time_s[frame]) for frame in np.cumsum([len(part) for part in world])[:-1])
    return SubjectPoses(time_s, picture, sure, sure, joints, 352, 352, float(FPS), cuts_s)


def _landmarks(clip: ClipPlan) -> tuple[np.ndarray, np.ndarray]:
    movement = clip.movement
    phase = clip.phase + np.arange(clip.frame_count) / FPS * clip.tempo / movement.cycle_s
    angles = movement.angles(phase, clip.amplitude, clip.side)
    bones = pose(clip.athlete.body, angles, movement.swinging(clip.side)).turned(movement.facing(clip.side))
    points = landmarks(bones)
    centred = points - points[:, 23:25].mean(1, keepdims=True)
    noise = np.random.default_rng(clip.seed).normal(0, 0.01, centred.shape)
    image = clip.camera.project(points)[0] / clip.camera.size_px
    flat = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    return (centred @ clip.camera.axes.T * [1, -1, -1] + noise).astype(np.float32), flat.astype(np.float32)


def write_grey_video(path: Path, frames: list[int], brightness: list[int]) -> Path:
    """A grey video, so many frames at each brightness: a cut wherever it changes."""
    pictures = (
        np.full((64, 64, 3), level, np.uint8)
        for count, level in zip(frames, brightness, strict=True)
        for _ in range(count)
    )
    write_video(path, pictures, FPS)
    return path
