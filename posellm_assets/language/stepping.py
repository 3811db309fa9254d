"""Hidden states token by token: a batch of prefixes is read once, then each row goes on by one token at a time.

Two ways to do it behind one interface: the library's own layers for any model, and for a small Qwen3 (the built-in
base) a forward pass of our own. A step of a small model is mostly the overhead of its many small operations, so fusing
the projections and writing into a cache of fixed size makes it several times as fast; a large model gains little and
would hold its weights twice. Both know nothing about vocabularies or grammar: ids in, hidden states out.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM

from posellm_assets.language import models

_SMALL = 100_000_000


class Stepper(Protocol):
    """Reads a batch and goes on with it; reading again forgets the batch before."""

    def read(self, prefixes: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        """(rows, size): the hidden state after each prefix (token ids). Up to `room` steps may follow."""

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """(rows, size): the hidden state after one more token of each row; `tokens` (rows,) ids."""

    def keep(self, order: Sequence[int]) -> None:
        """Go on with the rows `order` (places in the batch now, none before its own new place), forget the others."""


def stepper_for(model: Any) -> Stepper:
    """The fastest stepper that computes what `model` (a causal language model) computes."""
    return FusedStepper(model) if _can_fuse(model) else LibraryStepper(model)


class LibraryStepper:
    """The library's layers with its growing cache: any model."""

    def __init__(self, model: Any):
        self._body = models.body(model)
        self._device = next(model.parameters()).device

    def read(self, prefixes: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        ids, self._attention = (part.to(self._device) for part in left_padded(prefixes))
        self._positions = (self._attention.cumsum(1) - 1).clamp(min=0)
        self._cache = None
        return self._forward(ids)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        self._attention = functional.pad(self._attention, (0, 1), value=1)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(tokens[:, None])

    def keep(self, order: Sequence[int]) -> None:
        rows = torch.tensor(order, device=self._device)
        self._attention, self._positions = self._attention[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)  # type: ignore[attr-defined]

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        output = self._body(
            input_ids=ids,
            attention_mask=self._attention,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = output.past_key_values
        hidden: torch.Tensor = output.last_hidden_state[:, -1]
        return hidden


class FusedStepper:
    """The Qwen3 architecture with fused projections and a preallocated cache, for a batch aligned at its end.

    A row's positions count the padding before it: rotary attention sees differences of positions only.
    """

    def __init__(self, model: Any):
        config: Qwen3Config = model.config
        self._heads, self._groups, self._size = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self._embedding = model.model.embed_tokens.weight.detach()
        self._norm = model.model.norm.weight.detach() * config.hidden_size**0.5
        self._layers = [_FusedLayer(layer, self._heads, self._groups) for layer in model.model.layers]
        self._floor, self._head_floor = (
            torch.tensor((size * config.rms_norm_eps) ** 0.5, device=self._norm.device, dtype=self._norm.dtype)
            for size in (config.hidden_size, self._size)
        )
        self._frequencies = model.model.rotary_emb.inv_freq.double()

    def read(self, prefixes: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        device, dtype = self._embedding.device, self._embedding.dtype
        ids, attention = (part.to(device) for part in left_padded(prefixes))
        rows, longest = ids.shape
        span = longest + room
        # In double precision, as angles of far positions lose digits in single.
        angles = torch.arange(span, device=device)[:, None] * self._frequencies
        self._cos = torch.cat([angles.cos(), angles.cos()], 1).to(dtype)[:, None]
        self._sin = torch.cat([-angles.sin(), angles.sin()], 1).to(dtype)[:, None]
        shape = (len(self._layers), rows, self._groups)
        self._keys = torch.empty(*shape, self._size, span, device=device, dtype=dtype)
        self._values = torch.empty(*shape, span, self._size, device=device, dtype=dtype)
        self._read = 0
        lowest = torch.finfo(dtype).min
        self._padding: torch.Tensor | None = None
        if not attention.all():
            self._padding = torch.zeros(rows, self._groups, 1, span, device=device, dtype=dtype)
            self._padding[..., :longest].masked_fill_(attention[:, None, None] == 0, lowest)
        future = torch.full((longest, longest), lowest, device=device, dtype=dtype).triu(1)
        mask = future.repeat(self._heads // self._groups, 1)
        if self._padding is not None:
            mask = (mask + self._padding[..., :longest]).clamp(min=lowest).flatten(0, 1)
        return self._forward(ids, mask)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        padding = self._padding
        mask = None if padding is None else padding[..., : self._read + 1].flatten(0, 1)
        return self._forward(tokens[:, None], mask)

    def keep(self, order: Sequence[int]) -> None:
        for place, row in enumerate(order):
            if place != row:
                self._keys[:, place, ..., : self._read] = self._keys[:, row, ..., : self._read]
                self._values[:, place, :, : self._read] = self._values[:, row, :, : self._read]
                if self._padding is not None:
                    self._padding[place] = self._padding[row]
        self._keys, self._values = self._keys[:, : len(order)], self._values[:, : len(order)]
        if self._padding is not None:
            self._padding = self._padding[: len(order)]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """`mask`: additive, (rows * groups or 1, queries of a group, keys)."""
        rows, count = ids.shape
        start, stop = self._read, self._read + ids.shape[1]
        self._read = stop
        heads, groups, size = self._heads, self._groups, self._size
        turned = heads + groups
        cos, sin = self._cos[start:stop], self._sin[start:stop]
        state = functional.embedding(ids.flatten(), self._embedding)
        for layer, keys, values in zip(self._layers, self._keys, self._values, strict=True):
            projected = torch.addmm(layer.no_qkv, _unit(state, self._floor), layer.qkv)
            projected = projected.view(rows, count, turned + groups, size)
            qk = _unit(projected[:, :, :turned], self._head_floor) * layer.qk_norm
            qk = torch.addcmul(qk * cos, qk.roll(size // 2, -1), sin)
            keys[..., start:stop] = qk[:, :, heads:].permute(0, 2, 3, 1)
            values[:, :, start:stop] = projected[:, :, turned:].transpose(1, 2)
            queries = qk[:, :, :heads].unflatten(2, (groups, -1)).permute(0, 2, 3, 1, 4)
            queries = queries.reshape(rows * groups, -1, size)
            seen = keys[..., :stop].flatten(0, 1)
            scores = torch.bmm(queries, seen) if mask is None else torch.baddbmm(mask, queries, seen)
            mixed = torch.bmm(scores.softmax(-1), values[:, :, :stop].flatten(0, 1))
            mixed = mixed.view(rows, heads, count, size).transpose(1, 2).reshape(rows * count, -1)
            state = torch.addmm(state, mixed, layer.out)
            gate, up = torch.addmm(layer.no_gate_up, _unit(state, self._floor), layer.gate_up).chunk(2, -1)
            state = torch.addmm(state, functional.silu(gate) * up, layer.down)
        last = state.view(rows, count, -1)[:, -1]
        return _unit(last, self._floor) * self._norm


class _FusedLayer:
    """The weights of one layer, laid out for products from the left, each with the scale of the norm before it.

    `no_qkv` and `no_gate_up` are zeros: adding to something makes the product of a single row 1.5 times as fast.
    """

    def __init__(self, layer: Any, heads: int, groups: int):
        attention, mlp = layer.self_attn, layer.mlp
        norm, mlp_norm = layer.input_layernorm.weight.detach(), layer.post_attention_layernorm.weight.detach()
        self.qkv = _fused(norm, attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = _fused(None, attention.o_proj)
        self.gate_up = _fused(mlp_norm, mlp.gate_proj, mlp.up_proj)
        self.down = _fused(None, mlp.down_proj)
        self.no_qkv, self.no_gate_up = torch.zeros_like(self.qkv[0]), torch.zeros_like(self.gate_up[0])
        query, key = attention.q_norm.weight.detach(), attention.k_norm.weight.detach()
        scales = torch.cat([(query * attention.scaling).expand(heads, -1), key.expand(groups, -1)])
        self.qk_norm = scales * attention.head_dim**0.5


def _unit(state: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """`state` over its length: root mean square normalisation up to sqrt(size), which the weights that follow contain.

    `floor` is sqrt(size * epsilon). Three operations where the library's takes eight.
    """
    return state / torch.hypot(torch.linalg.vector_norm(state, 2, -1, True), floor)


def left_padded(prefixes: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, each (prefixes, longest) int64, aligned at the end; padding is id 0."""
    longest = max(map(len, prefixes))
    ids = torch.zeros(len(prefixes), longest, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for index, prefix in enumerate(prefixes):
        ids[index, longest - len(prefix) :] = torch.tensor(prefix)
        attention[index, longest - len(prefix) :] = 1
    return ids, attention


def _fused(norm: torch.Tensor | None, *layers: Any) -> torch.Tensor:
    weight = torch.cat([layer.weight.detach() for layer in layers])
    if norm is not None:
        weight = weight * (norm * len(norm) ** 0.5)
    return weight.t().contiguous()


def _can_fuse(model: Any) -> bool:
    if type(model) is not Qwen3ForCausalLM:
        return False
    config: Qwen3Config = model.config
    layers = sum(weight.numel() for weight in model.model.layers.parameters())
    return (
        layers <= _SMALL
        and model.model.rotary_emb.rope_type == "default"
        and set(config.layer_types or ()) == {"full_attention"}
        and config.hidden_act == "silu"
        and not config.attention_bias
    )
