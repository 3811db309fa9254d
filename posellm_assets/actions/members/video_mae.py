"""VideoMAE (Tong et al. 2022) as a member: its frozen features of a clip, and a linear head on the classes at hand.

The weights are not ours to ship. Where a folder of them is named (`recognition.video_mae`) the member is trained and
asked; where none is, it is absent, and every result says so.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save

from posellm_assets.actions.members.classifier import SoftmaxRegression
from posellm_assets.actions.members.members import ActionClip
from posellm_assets.actions.members.opinions import VIDEO_MAE, Opinion
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.frames import read_frames

# Of ImageNet, which every published VideoMAE was trained with.
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class VideoMaeMember:
    """See the module; `head` is fitted to the features of training clips."""

    name = VIDEO_MAE

    def __init__(self, encoder: Any, classes: Sequence[str], head: SoftmaxRegression):
        self.encoder, self.classes, self.head = encoder, tuple(classes), head

    @classmethod
    def fit(
        cls, weights: Path, cases: Sequence[ActionClip], truth: Sequence[str], classes: Sequence[str]
    ) -> "VideoMaeMember":
        """A head for the cases, which must have a video, and their classes."""
        encoder = _encoder(weights)
        rows = np.stack([_features(encoder, case) for case in cases])
        numbers = np.array([list(classes).index(class_id) for class_id in truth])
        return cls(encoder, classes, SoftmaxRegression.fit(rows, numbers, len(classes)))

    def save(self, folder: Path) -> None:
        """Write the head; the encoder stays where it is."""
        parts = {name: np.ascontiguousarray(value) for name, value in vars(self.head).items()}
        write_bytes(folder / "head.safetensors", save(parts))
        write_json(folder / "head.json", {"classes": list(self.classes)})

    @classmethod
    def load(cls, weights: Path, head: Path) -> "VideoMaeMember":
        """The encoder of `weights` with a head that `save` wrote."""
        fitted = SoftmaxRegression(**load((head / "head.safetensors").read_bytes()))
        return cls(_encoder(weights), read_json(head / "head.json")["classes"], fitted)

    def opinions(self, cases: Sequence[ActionClip]) -> list[Opinion | None]:
        """An opinion on each case that has a video."""
        return [self._opinion(case) if case.video is not None else None for case in cases]

    def _opinion(self, case: ActionClip) -> Opinion:
        started = time.process_time()
        log_probs = self.head.log_probs(_features(self.encoder, case)[None])[0].tolist()
        return Opinion(VIDEO_MAE, dict(zip(self.classes, log_probs, strict=True)), time.process_time() - started)


def _encoder(weights: Path) -> Any:
    """Raises ValueError where the folder holds another kind of model."""
    from transformers import AutoConfig, VideoMAEModel

    kind = AutoConfig.from_pretrained(weights, trust_remote_code=False).model_type
    if kind != "videomae":
        raise ValueError(f"recognition.video_mae: {weights} holds a model of type {kind}, not videomae")
    try:
        model = VideoMAEModel.from_pretrained(weights, use_safetensors=True, trust_remote_code=False)
    except OSError as error:
        raise ValueError(
            f"recognition.video_mae: {weights} has no weights in safetensors ({str(error).splitlines()[0]}); other "
            "formats can run code when they are opened and are not read here"
        ) from error
    return model.eval()


@torch.inference_mode()
def _features(encoder: Any, case: ActionClip) -> np.ndarray:
    """(size,) mean of the encoder's tokens over the clip."""
    assert case.video is not None
    config = encoder.config
    shown = FramesConfig(count=config.num_frames, size_px=config.image_size)
    frames, _ = read_frames(case.video, case.start_s, case.end_s, case.hit_s, shown, case.box)
    pixels = ((frames.astype(np.float32) / 255 - _MEAN) / _DEVIATION).transpose(0, 3, 1, 2)
    hidden = encoder(pixel_values=torch.from_numpy(np.ascontiguousarray(pixels))[None]).last_hidden_state
    return np.asarray(hidden[0].mean(0).numpy())
