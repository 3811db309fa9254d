"""What the tokenizer's training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from posellm_assets.motion import representation


class Objective:
    """The training loss: positions and velocities in metres with the heading integrated, root drift, and features.

    In metres, because errors of the turning speed add up over a window and the features alone do not show it.
    """

    def __init__(self, parts: representation.FeatureLayout, mean: Tensor, std: Tensor):
        self.parts = parts
        self.mean, self.std = mean, std

    def __call__(self, rebuilt: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) normalised features each. Returns the loss and the root-aligned MPJPE in metres."""
        joints, root = self._joints(rebuilt)
        with torch.no_grad():
            true_joints, true_root = self._joints(batch)
        apart, drift = joints - true_joints, root - true_root
        bodies = apart.shape[2] + 1  # joints with the root, whose aligned error is 0
        position_m = _length(apart).sum(-1).mean() / bodies
        everywhere = torch.cat([drift[:, :, None], apart + drift[:, :, None]], dim=2)
        velocity = _length(everywhere[:, 1:] - everywhere[:, :-1]).mean()
        distance = _length(drift)
        trajectory = functional.smooth_l1_loss(distance, torch.zeros_like(distance), beta=0.2)
        features = functional.smooth_l1_loss(rebuilt, batch)
        return 10 * position_m + 10 * velocity + trajectory + 0.3 * features, position_m.detach()

    def _joints(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Joints relative to the root (B, T, J-1, 3) and the root's way (B, T, 3); `representation.decode` in torch."""
        features, parts = normalised * self.std + self.mean, self.parts
        yaw = _sum_before(features[..., parts.yaw_velocity])
        height = features[..., parts.height]
        local = features[..., parts.positions].unflatten(-1, (-1, 3))
        x, y, z = local.unbind(-1)
        joints = _turn(torch.stack([x, y - height, z], dim=-1), yaw)
        step_x, step_z = features[..., parts.planar_velocity].unbind(-1)
        steps = torch.stack([step_x, torch.zeros_like(step_x), step_z], dim=-1)
        way = _sum_before(_turn(steps[:, :, None], yaw)[:, :, 0])
        return joints, way + functional.pad(height, (1, 1))


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


def _sum_before(steps: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1].cumsum(1)], dim=1)


def _turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    """(B, T, N, 3) vectors turned about +y by (B, T, 1) radians; `representation.turn` in torch."""
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)
