"""Which base model, method, precision and batch fit the hardware: computed from parameter counts, without loading any.

Torch-free. Memory is what training holds at its peak, in bytes:

- weights: 4 a parameter where they are trained, with 2 more for autocast's copies in bf16; 2 where they are frozen in
  bf16 (4 in float32); in 4 bits 0.516 for linear layers (NF4 and its doubly quantised scales, QLoRA, Dettmers et al.
  2023), embedding and head as frozen;
- 12 a trained parameter: gradient and both moments of AdamW in float32;
- with LoRA two whole matrices more for each end with trained rows: the copy that holds them, and its gradient;
- activations, 2 an element in bf16 (4 in float32): a layer keeps for each token 8 times the hidden size, 4 times the
  attention's queries, keys and values, and 3 times (gated: 4 times) the inner size of its feed-forward part;
- 12 for each logit: scores, probabilities and gradient in float32, at worst for every token of a micro-batch.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from posellm_assets.language.config import Method, ModelConfig

_GIB = 2**30
_NEW_TOKENS = 600
_CONTEXT_BYTES = _GIB  # what CUDA and its libraries hold before anything is computed
_USABLE = 0.9  # of what is left; the allocator cannot fill the rest
_ROWS_PER_STEP = 16


@dataclass(frozen=True)
class Hardware:
    """What a machine has to train on: memory of its GPU in bytes, 0 without one, and whether bf16 is fast there."""

    gpu: str
    gpu_bytes: int
    ram_bytes: int
    bf16: bool


@dataclass(frozen=True)
class Shape:
    """The numbers of a published configuration that decide how much memory a model takes."""

    vocabulary: int
    hidden: int
    layers: int
    inner: int
    attention: int
    """Width of queries, keys and values together."""
    queries: int
    embedding: int
    gated: bool
    tied: bool = True
    positions: int = 0

    @property
    def ends(self) -> int:
        """Parameters of embedding and head."""
        return self.vocabulary * self.embedding * (1 if self.tied else 2)

    @property
    def linear(self) -> int:
        """Parameters of all linear layers but the head."""
        layer = self.hidden * (self.attention + self.queries + (3 if self.gated else 2) * self.inner)
        narrow = 2 * self.embedding * self.hidden if self.embedding != self.hidden else 0
        return self.layers * layer + narrow

    @property
    def parameters(self) -> int:
        """All parameters that count: norms and biases are under a thousandth."""
        return self.ends + self.linear + self.positions * self.hidden

    def adapter(self, rank: int) -> int:
        """Parameters of LoRA of `rank` on every linear layer, and of the rows of the added tokens."""
        feed_forward = (3 if self.gated else 2) * (self.hidden + self.inner)
        attention = 3 * self.hidden + self.attention + self.queries + self.hidden
        return rank * self.layers * (feed_forward + attention) + _NEW_TOKENS * self.embedding * (1 if self.tied else 2)


# From their config.json; the tiny one is built by the project.
SHAPES: dict[str, Shape] = {
    "unsloth/Qwen3-1.7B": Shape(151_936, 2048, 28, 6144, 4096, 2048, 2048, gated=True),
    "facebook/opt-350m": Shape(50_272, 1024, 24, 4096, 3072, 1024, 512, gated=False, positions=2050),
    "tiny": Shape(1_088, 128, 4, 384, 256, 128, 128, gated=True),
}


@dataclass(frozen=True)
class Plan:
    """How to train on a machine, how much memory that takes, and why it was chosen."""

    base: str
    method: Method
    precision: str
    rows_per_batch: int
    batches_per_step: int
    bytes_needed: int
    reason: str


def bytes_needed(shape: Shape, method: Method, tokens: int, bf16: bool, rank: int = 16) -> int:
    """The memory that training holds at its peak with micro-batches of `tokens`; see the module for the formula."""
    element = 2 if bf16 else 4
    if method == "full":
        held, trained = shape.parameters * (6 if bf16 else 4), shape.parameters
    else:
        frozen = shape.linear * (0.516 if method == "qlora" else element)
        held = int(frozen + (shape.parameters - shape.linear) * element + 2 * shape.ends * element)
        trained = shape.adapter(rank)
    layer = 8 * shape.hidden + 4 * shape.attention + (4 if shape.gated else 3) * shape.inner
    activations = tokens * shape.layers * layer * element
    return held + 12 * trained + activations + 12 * tokens * shape.vocabulary


def plan(hardware: Hardware, model: ModelConfig, row_tokens: int = 256) -> Plan:
    """The best way to train on `hardware` that `model` leaves open; what the user has set is kept.

    'auto' takes the largest known base that fits a GPU with at least four rows in a batch, and the built-in one without
    a GPU. Of a base that is given and known only the batch is chosen; nothing can be computed for an unknown one.
    """
    room = int((hardware.gpu_bytes - _CONTEXT_BYTES) * _USABLE) if hardware.gpu_bytes else hardware.ram_bytes // 2
    where = f"{hardware.gpu} with {hardware.gpu_bytes / _GIB:.0f} GiB" if hardware.gpu_bytes else "no GPU"
    bf16 = model.precision == "bf16" or (model.precision == "auto" and hardware.bf16)
    automatic = model.base == "auto"
    methods: list[Method] = ["full", "lora", "qlora"] if automatic else [model.method]
    names = ["tiny"] if automatic and not hardware.gpu_bytes else list(SHAPES) if automatic else [model.base]
    for name in names:
        if name not in SHAPES:
            raise ValueError(f"{name}: its size is not known here, so what memory it takes is not either")
        for method in methods:
            for rows in (16, 8, 4, 2, 1):
                needed = bytes_needed(SHAPES[name], method, rows * row_tokens, bf16, model.lora_rank)
                if needed <= room and (rows >= 4 or not automatic):
                    chosen = "the largest that fits" if automatic else "as set"
                    reason = f"{where}; {chosen}: {needed / _GIB:.1f} of {room / _GIB:.1f} GiB"
                    steps = max(1, _ROWS_PER_STEP // rows)
                    return Plan(name, method, "bf16" if bf16 else "float32", rows, steps, needed, reason)
    least = min(bytes_needed(SHAPES[name], method, row_tokens, bf16, model.lora_rank) for method in methods)
    raise ValueError(
        f"{name} with method {methods[-1]} needs {least / _GIB:.1f} GiB, and {where} leaves {room / _GIB:.1f}: "
        "choose a smaller base, or model.method lora or qlora"
    )


def resolve(model: ModelConfig, hardware: Hardware) -> ModelConfig:
    """`model` with base and method chosen where the base is 'auto'; any other is returned as it is."""
    if model.base != "auto":
        return model
    chosen = plan(hardware, model)
    return model.model_copy(update={"base": chosen.base, "method": chosen.method})


def find_hardware() -> Hardware:
    """What this machine has: its first NVIDIA GPU as nvidia-smi tells, its memory, and whether bf16 is fast."""
    ram_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    program = shutil.which("nvidia-smi")
    if program:
        query = [program, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip():
            name, mib, capability = (part.strip() for part in found.stdout.splitlines()[0].split(","))
            return Hardware(name, int(mib) * 2**20, ram_bytes, float(capability) >= 8)
    flags = Path("/proc/cpuinfo")
    return Hardware("", 0, ram_bytes, flags.is_file() and "avx512_bf16" in flags.read_text())


def hardware_table() -> str:
    """What the known bases need on a GPU, as a table in Markdown: bf16, 4 rows of 256 tokens."""
    lines = ["| base | parameters | full | lora | qlora |", "| --- | --- | --- | --- | --- |"]
    for name in ("unsloth/Qwen3-1.7B", "facebook/opt-350m"):
        shape = SHAPES[name]
        methods: tuple[Method, ...] = ("full", "lora", "qlora")
        figures = [
            f"{bytes_needed(shape, method, 4 * 256, bf16=True) / _USABLE / _GIB + 1:.1f} GiB" for method in methods
        ]
        lines.append(f"| `{name}` | {shape.parameters / 1e6:,.0f} M | {' | '.join(figures)} |")
    return "\n".join(lines)
