"""What a vision-language model reads: a question with the tokens of a clip's frames, and the frames as patches.

The library's own video processors need torchvision; these few lines do the same for Qwen2.5-VL and Qwen3-VL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from posellm_assets.language.bases import UnsupportedModel
from posellm_assets.vision.model import LoadedVision

_PAD = "<|video_pad|>"


@dataclass(frozen=True)
class Seen:
    """A clip with its question: token ids, patches (patches, values) float32, and their grid (time, height, width)."""

    ids: list[int]
    patches: torch.Tensor
    grid: tuple[int, int, int]


def see(loaded: LoadedVision, frames: np.ndarray, times_s: np.ndarray, question: str, system: str = "") -> Seen:
    """The frames of a clip (N, S, S, 3) uint8 shown at `times_s` (N,), and a question about them.

    `system` is said before, where there is anything to say.

    Raises UnsupportedModel where the model cannot cut frames of that size into patches.
    """
    vision = loaded.inner.config.vision_config
    step, unit = vision.temporal_patch_size, vision.patch_size * vision.spatial_merge_size
    if frames.shape[1] % unit or len(frames) % step:
        raise UnsupportedModel(
            f"this model sees squares of a multiple of {unit} pixels and groups of {step} frames: set frames.size_px "
            f"({frames.shape[1]}) and frames.count ({len(frames)}) accordingly"
        )
    patches, grid = patched(frames, vision.patch_size, vision.spatial_merge_size, step, loaded.mean, loaded.deviation)
    one = "<|vision_start|>" + _PAD * (grid[1] * grid[2] // vision.spatial_merge_size**2) + "<|vision_end|>"
    if loaded.inner.config.model_type == "qwen3_vl":
        clip = "".join(f"<{time:.1f} seconds>{one}" for time in times_s.reshape(-1, step).mean(1))
    else:
        clip = one.replace(_PAD, _PAD * grid[0])
    before = [{"role": "system", "content": system}] if system else []
    chat = [*before, {"role": "user", "content": f"{_PAD}{question}"}]
    text = loaded.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return Seen(loaded.tokenizer.encode(text.replace(_PAD, clip), add_special_tokens=False), patches, grid)


def patched(
    frames: np.ndarray, size: int, merge: int, step: int, mean: Sequence[float], deviation: Sequence[float]
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Frames (N, S, S, 3) uint8 as the rows that Qwen's vision towers read, and the grid (N/step, S/size, S/size).

    A row is a patch over `step` frames, (colour, time, height, width); the patches that are merged stand together.
    """
    count, side = len(frames) // step, frames.shape[1] // size
    values = (torch.from_numpy(frames).float() / 255 - torch.tensor(mean)) / torch.tensor(deviation)
    cut = values.reshape(count, step, side // merge, merge, size, side // merge, merge, size, 3)
    rows = cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(count * side * side, -1)
    return rows, (count, side, side)


def model_inputs(loaded: LoadedVision, seen: Sequence[Seen], ids: torch.Tensor, device: torch.device) -> dict[str, Any]:
    """What the model is called with for clips whose token `ids` (clips, length) hold theirs, padding included."""
    return {
        "input_ids": ids.to(device),
        "mm_token_type_ids": 2 * (ids == loaded.inner.config.video_token_id).long().to(device),
        "pixel_values_videos": torch.cat([one.patches for one in seen]).to(device, loaded.inner.dtype),
        "video_grid_thw": torch.tensor([one.grid for one in seen], device=device),
    }


def answer_ids(loaded: LoadedVision, answer: str) -> list[int]:
    """The token ids of an answer, its end included."""
    return [*loaded.tokenizer.encode(answer, add_special_tokens=False), loaded.tokenizer.eos_token_id]
