from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from posellm_assets.language import models
from posellm_assets.language.stepping import FusedStepper, LibraryStepper, Stepper, stepper_for

ROWS = 60
SHAPE: dict[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
}
PREFIXES = [[5, 6, 7], [9], [1, 2, 3, 4, 5, 6, 7, 8], [3, 3]]


def model_of(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    shape = SHAPE | changes
    model: Any
    if name == "opt":
        opt = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = OPTForCausalLM(OPTConfig(vocab_size=ROWS, **opt, word_embed_proj_dim=16, max_position_embeddings=128))
    elif name == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape))
    elif name == "gemma2":
        model = Gemma2ForCausalLM(Gemma2Config(**shape))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**shape))
    with torch.no_grad():
        # Norm scales other than 1 and logits far from even, as after training.
        for weight in model.parameters():
            weight.normal_(1.0 if weight.ndim == 1 else 0.0, 0.3)
    return model.eval()


def whole(model: Any, row: list[int]) -> torch.Tensor:
    """The plain way: one sequence through the whole model, no cache, no batch."""
    return model(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1]


@pytest.mark.parametrize("name", ["fused", "qwen3", "llama", "opt", "gemma2"])
@torch.inference_mode()
def test_steps_of_a_batch_that_loses_rows_are_those_of_the_whole_model(name: str) -> None:
    model = model_of(name)
    stepper: Stepper = FusedStepper(model) if name == "fused" else LibraryStepper(model)
    generator = torch.Generator().manual_seed(1)
    for prefixes in (PREFIXES, [[4, 5]]):
        rows = [list(prefix) for prefix in prefixes]
        hidden = stepper.read(prefixes, 12)
        for step in range(12):
            expected = torch.stack([whole(model, row) for row in rows])
            assert torch.allclose(models.logits(model, hidden), expected, atol=1e-4)
            tokens = torch.randint(ROWS, (len(rows),), generator=generator)
            rows = [[*row, token] for row, token in zip(rows, tokens.tolist(), strict=True)]
            if step in (3, 8) and len(rows) > 1:
                order = [0, len(rows) - 1, *range(2, len(rows) - 1)]
                rows, tokens = [rows[place] for place in order], tokens[order]
                stepper.keep(order)
            hidden = stepper.step(tokens)


@pytest.mark.parametrize("changes", [{"attention_bias": True}, {"hidden_act": "gelu"}])
def test_a_qwen3_that_differs_from_ours_goes_through_the_librarys_layers(changes: dict[str, Any]) -> None:
    assert isinstance(stepper_for(model_of("qwen3")), FusedStepper)
    assert isinstance(stepper_for(model_of("qwen3", **changes)), LibraryStepper)
    assert isinstance(stepper_for(model_of("llama")), LibraryStepper)
