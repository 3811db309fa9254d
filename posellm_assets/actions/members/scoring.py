"""How likely a vision-language model says each class of a clip: the clip is read once for all names together."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets.actions.dataset.clips import ActionExample, UnusableDataset
from posellm_assets.actions.dataset.formats import phrasings
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.opinions import VISION, Opinion, log_probabilities
from posellm_assets.files import read_json
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.language.scoring import LabelTree
from posellm_assets.language.stepping import left_padded
from posellm_assets.training.backends import Backend
from posellm_assets.vision.config import FramesConfig
from posellm_assets.vision.frames import read_frames
from posellm_assets.vision.inputs import Seen, answer_ids, model_inputs, see
from posellm_assets.vision.model import LoadedVision, load

RECOGNISER = "vision_recogniser.json"
"""Beside a finished model: which frames it sees, and which classes it names in which language."""

_CLIPS_AT_ONCE = 8


class Scorer:
    """Scores clips against the names of a label set's classes in one language."""

    def __init__(self, loaded: LoadedVision, label_set: LabelSet, language: str):
        self.loaded = loaded
        self.question = phrasings()[language].questions[0]
        spelled = {spelling: one.id for one in label_set.classes for spelling in names_of(one, language)}
        self._owners = list(spelled.values())
        self._tree = LabelTree([answer_ids(loaded, spelling) for spelling in spelled])

    @torch.inference_mode()
    def log_probs(self, clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
        """For each clip (frames, times_s) the log-probability of each class, by id.

        A class is answered by any of its names, so their probabilities add up: a mean over the names, each against the
        share of the answers that it had in training.
        """
        self.loaded.model.eval()
        seen = [see(self.loaded, frames, times_s, self.question) for frames, times_s in clips]
        result = []
        for scores in self._tree.scores_of(self.loaded.inner, self._hidden(seen)).tolist():
            by_class: dict[str, list[float]] = {}
            for owner, score in zip(self._owners, scores, strict=True):
                by_class.setdefault(owner, []).append(score)
            result.append(log_probabilities({one: float(np.logaddexp.reduce(own)) for one, own in by_class.items()}))
        return result

    def _hidden(self, seen: Sequence[Seen]) -> torch.Tensor:
        """(clips, 1 + nodes of the tree, size): what predicts the beginnings of the names and how they go on."""
        body = self.loaded.inner.base_model
        device = self.loaded.inner.device
        ids, read = left_padded([one.ids for one in seen])
        nodes = self._tree.nodes.expand(len(ids), -1)
        inputs = model_inputs(self.loaded, seen, torch.cat([ids, nodes], 1), device)
        positions, _ = body.get_rope_index(
            ids.to(device),
            inputs["mm_token_type_ids"][:, : ids.shape[1]],
            video_grid_thw=inputs["video_grid_thw"],
            attention_mask=read.to(device),
        )
        after = positions[:, :, -1:] + self._tree.depths.to(device)
        output = body(
            **inputs,
            attention_mask=self._tree.mask(read, self.loaded.inner.dtype).to(device),
            position_ids=torch.cat([positions, after], 2),
            use_cache=False,
        )
        hidden: torch.Tensor = output.last_hidden_state[:, ids.shape[1] - 1 :]
        return hidden


class VisionModel:
    """A finished model as a member of the ensemble."""

    def __init__(self, loaded: LoadedVision, frames: FramesConfig, language: str, label_set: LabelSet):
        self.loaded, self.frames, self.language, self.label_set = loaded, frames, language, label_set

    @classmethod
    def load(cls, folder: Path) -> "VisionModel":
        """The model that `posellm_assets.actions.train` finished; raises UnusableDataset where `folder` holds none."""
        if not (folder / RECOGNISER).is_file():
            raise UnusableDataset(f"{folder} holds no {RECOGNISER}: it is no finished model for recognising actions")
        about: dict[str, Any] = read_json(folder / RECOGNISER)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        loaded = load(str(folder), Backend("hf", "scoring"), dtype, device)
        frames = FramesConfig.model_validate(about["frames"])
        return cls(loaded, frames, about["language"], LabelSet.model_validate(about["label_set"]))

    def opinions(self, examples: Sequence[ActionExample], label_set: LabelSet) -> list[Opinion]:
        """An opinion on each example, of the classes of `label_set`. The seconds of a batch are shared out evenly.

        Raises UnreadableVideo naming the example whose frames cannot be read.
        """
        scorer = Scorer(self.loaded, label_set, self.language)
        opinions: list[Opinion] = []
        for first in range(0, len(examples), _CLIPS_AT_ONCE):
            batch = examples[first : first + _CLIPS_AT_ONCE]
            began = time.process_time()
            found = scorer.log_probs([frames_of(example, self.frames) for example in batch])
            seconds = (time.process_time() - began) / len(batch)
            opinions += [Opinion(VISION, log_probs, seconds) for log_probs in found]
        return opinions


def frames_of(example: ActionExample, config: FramesConfig) -> tuple[np.ndarray, np.ndarray]:
    """The frames of an example and their times, as `read_frames`; raises UnreadableVideo naming the example."""
    try:
        return read_frames(example.video, example.start_s, example.end_s, example.hit_s, config, example.box)
    except (UnreadableVideo, OSError) as error:
        raise UnreadableVideo(f"{example.id} ({example.video}): {error}") from error


def names_of(one: Any, language: str) -> list[str]:
    """How a class may be answered in a language: its name and synonyms, or what it is called in another one."""
    return one.spellings(language) or [one.name(language)]
