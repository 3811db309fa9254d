import pytest
import torch

from posellm_assets.language.scoring import LabelTree
from posellm_assets_tests.unit.language.test_stepping import PREFIXES, model_of, whole

LABELS = [[10, 11, 12], [10, 11, 13, 14], [20], [21, 11], [10, 15]]


@pytest.mark.parametrize("name", ["qwen3", "llama", "opt", "gemma2"])
@torch.inference_mode()
def test_a_tree_of_labels_scores_each_as_if_it_were_read_alone(name: str) -> None:
    model = model_of(name)
    scores = LabelTree(LABELS).scores(model, PREFIXES)
    for row, prefix in zip(scores, PREFIXES, strict=True):
        for score, label in zip(row.tolist(), LABELS, strict=True):
            parts = [whole(model, [*prefix, *label[:size]]).log_softmax(-1)[label[size]] for size in range(len(label))]
            assert score == pytest.approx(float(sum(parts)), abs=1e-3)


def test_labels_of_one_token_need_no_tree() -> None:
    scores = LabelTree([[1], [2]]).scores(model_of("qwen3"), PREFIXES)
    assert scores.shape == (4, 2)
