"""The vision-language model: what it reads, what it says, and what is trained of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from posellm_assets.actions.dataset.clips import UnusableDataset
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.vision_language import Scorer, VisionModel
from posellm_assets.language.bases import UnsupportedModel
from posellm_assets.vision.config import VisionModelConfig
from posellm_assets.vision.frames import augmented
from posellm_assets.vision.inputs import answer_ids, model_inputs, patched, see
from posellm_assets.vision.model import LoadedVision, attach_lora, load
from posellm_assets_tests.unit.vision.models import BUILDERS, HF

WAYS = LabelSet.model_validate(
    {
        "sport": "ways",
        "classes": [
            {"id": "up", "names": {"en": "up"}, "synonyms": {"en": ["upwards", "to the top"]}},
            {"id": "left", "names": {"en": "left"}},
            {"id": "right", "names": {"en": "right"}},
        ],
    }
)


def a_clip(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).integers(0, 255, (4, 32, 32, 3), np.uint8), np.arange(4) * 0.3


def test_frames_are_cut_into_patches_as_the_library_does_it() -> None:
    frames, _ = a_clip()
    mean, deviation = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    library = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, do_resize=False, image_mean=mean, image_std=deviation
    )(images=[frames[0]], return_tensors="pt")
    rows, grid = patched(frames[[0, 0]], 8, 2, 2, mean, deviation)
    torch.testing.assert_close(rows, library["pixel_values"], atol=1e-5, rtol=0)
    assert [list(grid)] == library["image_grid_thw"].tolist()
    both, _ = patched(frames, 8, 2, 2, mean, deviation)
    time_first = both.reshape(2, 16, 3, 2, 8, 8)
    torch.testing.assert_close(
        time_first[0, 0, :, 1], patched(frames[[1, 1]], 8, 2, 2, mean, deviation)[0][0].reshape(3, 2, 8, 8)[:, 0]
    )


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_class_is_scored_as_if_each_of_its_names_were_read_alone(kind: str, tmp_path: Path) -> None:
    loaded = BUILDERS[kind](tmp_path)
    assert loaded.model.config.model_type == kind
    scorer = Scorer(loaded, WAYS, "en")
    clips = [(a_clip(0)[0], a_clip()[1] * 40), a_clip(1)]
    together = scorer.log_probs(clips)
    for clip, found in zip(clips, together, strict=True):
        seen = see(loaded, *clip, scorer.question)
        likelihoods = {}
        for one in WAYS.classes:
            each = []
            for name in one.spellings("en"):
                answer = answer_ids(loaded, name)
                ids = torch.tensor([[*seen.ids, *answer]])
                with torch.no_grad():
                    scores = loaded.model(**model_inputs(loaded, [seen], ids, torch.device("cpu"))).logits
                after = scores[0, len(seen.ids) - 1 : -1].log_softmax(-1)
                each.append(float(after[range(len(answer)), answer].sum()))
            likelihoods[one.id] = np.logaddexp.reduce(each)
        total = np.logaddexp.reduce(list(likelihoods.values()))
        assert found == pytest.approx({one: value - total for one, value in likelihoods.items()}, abs=1e-3)
    assert together[0] != pytest.approx(together[1], abs=1e-3), "what is seen counts"


@pytest.mark.parametrize("kind", BUILDERS)
def test_lora_is_in_the_parts_that_were_asked_for(kind: str, tmp_path: Path) -> None:
    BUILDERS[kind](tmp_path)

    def trained(**parts: bool) -> dict[str, int]:
        fresh: LoadedVision = load(str(tmp_path), HF, torch.float32, torch.device("cpu"))
        adapted = attach_lora(fresh, VisionModelConfig(lora_rank=2, **parts), seed=0)  # type: ignore[arg-type]
        names = [name for name, weight in adapted.model.named_parameters() if weight.requires_grad]
        assert all("lora_" in name for name in names)
        return {
            "language": sum("language_model" in name for name in names),
            "vision": sum("visual.blocks" in name for name in names),
            "aligner": sum("merger" in name for name in names),
            "all": len(names),
        }

    alone = trained()
    assert alone["language"] == alone["all"] == 2 * 2 * 7, "two matrices in each of seven projections of two layers"
    with_vision = trained(train_vision=True)
    assert with_vision["vision"] > 0 == with_vision["aligner"]
    both = trained(train_vision=True, train_aligner=True)
    assert both["aligner"] > 0 and both["all"] == both["language"] + both["vision"] + both["aligner"]


def test_what_is_no_vision_model_is_refused(tmp_path: Path) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    Qwen3ForCausalLM(
        Qwen3Config(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, head_dim=8)
    ).save_pretrained(tmp_path / "text")
    with pytest.raises(UnsupportedModel, match=r"text is no vision-language model .*\(qwen3\); choose a Qwen2.5-VL"):
        load(str(tmp_path / "text"), HF, torch.float32, torch.device("cpu"))
    with pytest.raises(UnsupportedModel, match="there is no such folder"):
        load(str(tmp_path / "nothing"), HF, torch.float32, torch.device("cpu"))
    with pytest.raises(UnusableDataset, match=r"holds no vision_recogniser\.json"):
        VisionModel.load(tmp_path / "text")
    loaded = BUILDERS["qwen3_vl"](tmp_path / "tiny")
    with pytest.raises(UnsupportedModel, match=r"multiple of 16 pixels .*size_px \(40\)"):
        see(loaded, np.zeros((4, 40, 40, 3), np.uint8), np.arange(4), "?")


def test_a_mirrored_clip_is_of_the_other_side() -> None:
    assert WAYS.mirrored() == {"up": "up", "left": "right", "right": "left"}
    one_sided = LabelSet.of_labels("gym", ["left lunge", "squat"])
    assert one_sided.mirrored() == {"squat": "squat"}, "a right lunge is no class here"
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    frames[:, :, :8] = 200
    seen = augmented(frames, True, np.random.default_rng(0))
    assert seen[:, :, -6:].mean() > 100 > 10 > seen[:, :, :16].mean()
    plain = augmented(frames, False, np.random.default_rng(0))
    assert plain[:, :, :6].mean() > 100 > 10 > plain[:, :, 16:].mean()
