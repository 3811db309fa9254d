"""What a vision-language model says about a row's picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posellm_assets.coaching.model import vision_coach
from posellm_assets.coaching.model.dataset import PictureRow
from posellm_assets.coaching.model.vision_coach import VisionCoach, picture_question
from posellm_assets.vision.inputs import model_inputs
from posellm_assets_tests.unit.vision.models import BUILDERS, FRAMES

TOKENS = 8


@pytest.mark.parametrize("kind", BUILDERS)
def test_each_token_said_is_the_likeliest_after_picture_question_and_what_was_said(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_coach, "_MOST_TOKENS", TOKENS)
    loaded = BUILDERS[kind](tmp_path)
    pictures = np.random.default_rng(0).integers(0, 255, (2, 40, 60, 3), np.uint8)
    rows = []
    for number, bgr in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), bgr)
        rows.append(PictureRow(str(number), "squat", "You coach.", "What now?", "-", tmp_path / f"{number}.png"))
    said = VisionCoach(loaded, FRAMES).answers(rows)
    end, expected = loaded.tokenizer.eos_token_id, []
    for row in rows:
        seen = picture_question(loaded, row, FRAMES)
        ids = list(seen.ids)
        assert "You coach." in loaded.tokenizer.decode(ids).split("What now?")[0]
        while len(ids) < len(seen.ids) + TOKENS and ids[-1] != end:
            inputs = model_inputs(loaded, [seen], torch.tensor([ids]), torch.device("cpu"))
            with torch.no_grad():
                ids.append(int(loaded.model(**inputs, use_cache=False).logits[0, -1].argmax()))
        expected.append(loaded.tokenizer.decode(ids[len(seen.ids) :], skip_special_tokens=True))
    assert said == expected
    assert said[0] != said[1], "what is seen counts"
