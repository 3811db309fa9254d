"""A finished vision-language model that answers about pictures of athletes."""

from collections.abc import Sequence
from pathlib import Path

import torch

from posellm_assets.coaching.model.dataset import PictureRow, UnusableCoaching
from posellm_assets.coaching.model.vision_questions import VISION_COACH, picture_question
from posellm_assets.files import read_json
from posellm_assets.training.backends import Backend
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.inputs import model_inputs
from posellm_assets.vision.model import LoadedVision, load

_MOST_TOKENS = 2048  # of an answer; one that is cut off there follows no schema


class VisionCoach:
    """Answers as the rows that it was trained on are answered."""

    def __init__(self, loaded: LoadedVision, frames: FramesConfig):
        self.loaded, self.frames = loaded, frames

    @classmethod
    def load(cls, folder: Path) -> "VisionCoach":
        """The model that `vision_train` finished; raises UnusableCoaching where `folder` holds none."""
        if not (folder / VISION_COACH).is_file():
            raise UnusableCoaching(f"{folder} holds no {VISION_COACH}: it is no finished vision coaching model")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        loaded = load(str(folder), Backend("hf", "answering"), dtype, device)
        return cls(loaded, FramesConfig.model_validate(read_json(folder / VISION_COACH)["frames"]))

    @torch.inference_mode()
    def answers(self, rows: Sequence[PictureRow]) -> list[str]:
        """What is said about each row's picture, by greedy decoding; what the row answers is not looked at.

        Raises UnusableCoaching where a picture cannot be read.
        """
        self.loaded.model.eval()
        device, tokenizer = self.loaded.inner.device, self.loaded.tokenizer
        texts = []
        for row in rows:
            seen = picture_question(self.loaded, row, self.frames)
            ids = torch.tensor([seen.ids])
            said = self.loaded.model.generate(
                **model_inputs(self.loaded, [seen], ids, device),
                attention_mask=torch.ones_like(ids).to(device),
                do_sample=False,
                repetition_penalty=1.0,  # whatever the base comes with: JSON repeats its keys
                max_new_tokens=_MOST_TOKENS,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            texts.append(str(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)))
        return texts
