from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM, Qwen3Config, Qwen3ForCausalLM

from posellm_assets.language.packing import collate, hidden_states, isolates, pack
from posellm_assets.language.tasks import TokenExample

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
}


def build(name: str) -> Any:
    torch.manual_seed(0)
    if name == "opt":
        config = OPTConfig(
            vocab_size=96,
            hidden_size=32,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            word_embed_proj_dim=32,
        )
        return OPTForCausalLM(config).model.train(False)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)) if name == "llama" else Qwen3ForCausalLM(Qwen3Config(**SHAPE))
    return model.model.train(False)


def example(first: int, size: int) -> TokenExample:
    return TokenExample("k", [first % 96], [(first + step) % 96 for step in range(1, size)])


def test_rows_are_filled_by_best_fit_and_hold_every_example_once() -> None:
    examples = [example(size, size) for size in (10, 50, 30, 34, 14, 20, 64)]
    rows = pack(examples, 64)
    assert sorted(len(member) for row in rows for member in row) == sorted(map(len, examples))
    assert [[len(member) for member in row] for row in rows] == [[64], [50, 14], [34, 30], [20, 10]]


def test_an_example_longer_than_a_row_is_an_error_and_never_cut() -> None:
    with pytest.raises(ValueError, match="65 tokens does not fit a row of 64"):
        pack([example(0, 65)], 64)


@pytest.mark.parametrize(("name", "masked"), [("qwen3", False), ("llama", False), ("opt", True)])
def test_an_example_is_computed_as_if_it_were_alone_whatever_its_neighbour(name: str, masked: bool) -> None:
    body = build(name)
    one, other, last = example(3, 20), example(50, 20), example(30, 15)
    with torch.no_grad():
        beside_one = hidden_states(body, collate([[one, last]], 64, 0), masked)[0, 20:35]
        beside_other = hidden_states(body, collate([[other, last]], 64, 0), masked)[0, 20:35]
        alone = hidden_states(body, collate([[last]], 64, 0), masked)[0, :15]
    assert torch.equal(beside_one, beside_other)
    assert torch.allclose(beside_one, alone, atol=1e-5)


def test_the_measure_of_isolation_notices_when_it_is_broken() -> None:
    assert isolates(build("qwen3"), 96, masked=False)
    # OPT makes itself a mask of ones, which hides the boundaries that the positions show.
    assert not isolates(build("opt"), 96, masked=False)
    assert isolates(build("opt"), 96, masked=True)


def test_the_measure_of_isolation_notices_positions_that_do_not_restart() -> None:
    body = build("qwen3")

    class Running(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = body

        def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, **rest: Any) -> Any:
            running = torch.arange(input_ids.shape[1])[None].expand_as(position_ids)
            return self.inner(input_ids=input_ids, position_ids=running, **rest)

    assert not isolates(Running(), 96, masked=False)
