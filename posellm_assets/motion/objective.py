"""What the tokenizer's training minimises."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from posellm_assets.motion.parts import HEADING, join, turned
from posellm_assets.motion.skeletons import Skeleton

_ALIGNED = 0.7  # of the position error is with headings aligned: a body that faces elsewhere may be the right body
_NEAR_M = 0.2  # of the way: nearer than this it counts with its square


class Objective:
    """The training loss: positions and velocities of joints in metres, the height and way of the root, the heading.

    In metres, because that is what the codes are for: features of one size are not worth the same.
    """

    def __init__(self, skeleton: Skeleton, heading_std: Tensor):
        """heading_std: (2,) the spread of its cosine and sine."""
        self.skeleton, self.heading_std = skeleton, heading_std

    def __call__(self, rebuilt: Sequence[Tensor], true: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Features (B, T, D) of each part. Returns the loss and the MPJPE in metres, roots and headings aligned."""
        joints, yaw, height, steps = join(list(rebuilt), self.skeleton)
        true_joints, true_yaw, true_height, true_steps = join(list(true), self.skeleton)
        aligned_m = _length(joints - true_joints).mean()
        joints, true_joints = turned(joints, yaw[..., None]), turned(true_joints, true_yaw[..., None])
        steps, true_steps = turned(steps, yaw)[:, :-1], turned(true_steps, true_yaw)[:, :-1]
        apart, lift = joints - true_joints, height - true_height
        position_m = _ALIGNED * aligned_m + (1 - _ALIGNED) * _length(apart).mean()
        body = apart + torch.stack([torch.zeros_like(lift), lift, torch.zeros_like(lift)], dim=-1)[..., None, :]
        velocity_m = _length(body.diff(dim=1) + (steps - true_steps)[..., None, :]).mean()
        distance_m = _length((steps - true_steps).cumsum(1))
        way = functional.smooth_l1_loss(distance_m, torch.zeros_like(distance_m), beta=_NEAR_M)
        faces = functional.smooth_l1_loss(
            rebuilt[0][..., HEADING] / self.heading_std, true[0][..., HEADING] / self.heading_std
        )
        loss = 10 * position_m + 4 * velocity_m + way + 3 * lift.abs().mean() + 0.3 * faces
        return loss, aligned_m.detach()


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-8).sqrt()
