"""How likely a vision-language model gives each of a fixed set of answers: a clip is read once for all of them."""

from collections.abc import Sequence

import torch

from posellm_assets.language.scoring import LabelTree
from posellm_assets.language.stepping import left_padded
from posellm_assets.vision.inputs import Seen, answer_ids, model_inputs
from posellm_assets.vision.model import LoadedVision


class AnswerScorer:
    """Scores what is seen and asked against answers that are all different."""

    def __init__(self, loaded: LoadedVision, answers: Sequence[str]):
        self.loaded = loaded
        self._tree = LabelTree([answer_ids(loaded, answer) for answer in answers])

    @torch.inference_mode()
    def scores(self, seen: Sequence[Seen]) -> torch.Tensor:
        """(clips, answers) float32: the log-probability that the model gives an answer, its end included."""
        self.loaded.model.eval()
        return self._tree.scores_of(self.loaded.inner, self._hidden(seen))

    def _hidden(self, seen: Sequence[Seen]) -> torch.Tensor:
        """(clips, 1 + nodes of the tree, size): what predicts the beginnings of the answers and how they continue."""
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
