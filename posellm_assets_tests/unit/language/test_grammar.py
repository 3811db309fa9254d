"""What is generated is valid whatever the model, and nothing valid is out of reach."""

from typing import Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.sampling import LengthControl
from posellm_assets.language.taught import Taught, TaughtText
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer

CODES = 12
SEEN = (3, 7, 14, 20)
TEXTS = ["squat", "", "a text about something it never saw 🎾", "serve"]


def random_lm(seed: int = 0, layers: int = 1, scale: float = 0.3, **changes: Any) -> MotionLM:
    """An untrained model; the larger `scale`, the surer it is of its nonsense."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary(
        tiny_tokenizer(["squat", "serve"], 300), layers * CODES, codes_per_step=layers, participants=["ann"]
    )
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=128,
        initializer_range=scale,
        **changes,
    )
    taught = Taught(row_tokens=128, overall=16, texts={"squat": TaughtText(length=20, codes=SEEN)})
    return MotionLM(Qwen3ForCausalLM(config), vocabulary, taught)


def is_valid(codes: list[int], layers: int) -> bool:
    """Whole time steps, in each the codes of layer 0, 1, ... in turn."""
    return len(codes) % layers == 0 and all(code // CODES == place % layers for place, code in enumerate(codes))


@pytest.mark.parametrize("layers", [1, 2])
def test_every_motion_of_every_random_model_is_valid_and_of_the_asked_length(layers: int) -> None:
    bounds = [LengthControl(low, low + 2, low + 2 + low % 5) for low in range(1, 9)]
    for seed, scale in enumerate((0.02, 0.3, 3.0)):
        lm = random_lm(seed, layers, scale)
        for temperature in (0.0, 0.01, 1.0, 20.0):
            sampling = SamplingConfig(temperature=temperature, top_p=0.9 + 0.1 * (seed % 2), end_slope=seed)
            motions = lm.motion_from_text([*TEXTS, *TEXTS], 3, sampling, bounds)
            motions += lm.continue_motion([motions[0]] * 8, 3, sampling, bounds)
            motions += lm.between([(motions[0], motions[1])] * 8, 3, sampling, bounds)
            for codes, bound in zip(motions, bounds * 3, strict=True):
                assert is_valid(codes, layers)
                assert bound.minimum <= len(codes) // layers <= bound.maximum


@pytest.mark.parametrize("layers", [1, 2])
def test_a_sample_is_the_same_whatever_its_batch(layers: int) -> None:
    lm = random_lm(layers=layers)
    texts = [TEXTS[index % 4] for index in range(40)]
    bounds = [LengthControl(1, 1 + index % 7, 12) for index in range(40)]
    sampling = SamplingConfig(top_p=0.95, end_slope=1.0)
    together = lm.motion_from_text(texts, 5, sampling, bounds)
    assert len({len(codes) for codes in together}) > 4
    for index in range(0, 40, 3):
        assert lm.motion_from_text([texts[index]], 5 + index, sampling, [bounds[index]]) == [together[index]]


@pytest.mark.parametrize("period", [1, 6])
def test_holding_a_pose_and_a_gait_that_repeats_are_within_reach(period: int) -> None:
    lm = random_lm(tie_word_embeddings=False)
    body, head = lm.model.model, lm.model.lm_head.weight
    with torch.no_grad():
        # Only the token itself speaks, and it asks for the next code of its cycle.
        for layer in body.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        head.zero_()
        for code, token in enumerate(lm.vocabulary.codes):
            cycle = code - code % period
            head[lm.vocabulary.codes[cycle + (code + 1) % period]] = body.embed_tokens.weight[token]
    surely = MotionLM(lm.model, lm.vocabulary, lm.taught)
    [codes] = surely.motion_from_text(["squat"], 0, SamplingConfig(temperature=0), [LengthControl(40, 40, 40)])
    assert codes == [codes[0] - codes[0] % period + (codes[0] + step) % period for step in range(40)]


def test_a_text_may_keep_to_the_codes_that_it_was_seen_with() -> None:
    for layers in (1, 2):
        lm = random_lm(layers=layers)
        own = {code for code in SEEN if code < layers * CODES}
        lm.taught.texts["squat"] = TaughtText(length=20, codes=tuple(sorted(own)))
        sampling = SamplingConfig(temperature=5.0, top_p=1.0, own_codes=True)
        bounds = [LengthControl(20, 20, 20)] * 2
        seen, unseen = lm.motion_from_text(["squat", "serve"], 0, sampling, bounds)
        assert set(seen) == own
        assert is_valid(seen, layers)
        assert len(set(unseen)) > len(own)


def test_a_participant_is_asked_for_by_name() -> None:
    lm = random_lm()
    plain, of_ann = lm.motion_from_text(["squat"]), lm.motion_from_text(["squat"], participants=["ann"])
    assert plain != of_ann
    with pytest.raises(ValueError, match="bob"):
        lm.motion_from_text(["squat"], participants=["bob"])


def test_what_has_no_room_in_what_the_model_was_trained_on_is_refused() -> None:
    lm = random_lm()
    with pytest.raises(ValueError, match="room for 124 time steps behind a prompt of 3 tokens, not 200"):
        lm.motion_from_text(["squat"], lengths=[LengthControl(1, 200, 200)])
    essay = "serve and squat " * 20
    assert lm.has_room("squat") and not lm.has_room(essay)
    with pytest.raises(ValueError, match=r"have room for 0 time steps behind a prompt of [0-9]+ tokens, not 8"):
        lm.motion_from_text(["squat", essay])
    with pytest.raises(ValueError, match="1 <= minimum <= maximum"):
        LengthControl(0, 1, 2)


def test_of_long_motions_the_ends_are_read_and_of_none_nothing_is_said() -> None:
    lm = random_lm()
    long = [step % CODES for step in range(300)]
    [added], [filled] = lm.continue_motion([long]), lm.between([(long, long)])
    assert lm.continue_motion([long[-60:]]) == [added] and added and filled
    for ask in (lm.continue_motion, lm.text_from_motion, lambda motions: lm.score_labels(motions, ["squat"])):
        with pytest.raises(ValueError, match="a motion without codes"):
            ask([[]])
    with pytest.raises(ValueError, match="no label to score"):
        lm.score_labels([long], [])


def test_what_the_model_never_learned_is_refused_with_the_reason() -> None:
    lm = random_lm()
    lm = MotionLM(lm.model, lm.vocabulary, lm.taught, ("motion", "t2m"))
    assert lm.motion_from_text(["squat"])
    with pytest.raises(ValueError, match="has not learned the task continuation, only motion, t2m: give continuation"):
        lm.continue_motion([[1, 2, 3]])
    with pytest.raises(ValueError, match="has not learned the task between"):
        lm.between([([1], [2])])
