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
from typing import Any

from posellm_assets.cluster.config import ClusterConfig
from posellm_assets.cluster.connecting import ask
from posellm_assets.files import read_json
from posellm_assets.language.config import Method, ModelConfig, StageConfig
from posellm_assets.program import bf16_is_fast_on_cpu
from posellm_assets.reports.markdown import table

_GIB = 2**30
_NEW_TOKENS = 600
_CONTEXT_BYTES = _GIB  # what CUDA and its libraries hold before anything is computed
_USABLE = 0.9  # of what is left; the allocator cannot fill the rest
# Architectures whose feed-forward part has no gate; position embeddings that are learned are a table of them.
_PLAIN = {"opt", "gpt_neox", "phi", "starcoder2", "nemotron"}
_LEARNED_POSITIONS = {"opt": 2}  # rows beside one for each position


@dataclass(frozen=True)
class Hardware:
    """What a machine has to train on: its GPU, '' without one, with the memory in bytes, 0 where that is not known, and
    whether bf16 is fast."""

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


class NoPlan(ValueError):
    """No way to train fits, or none can be computed; the message says why and what to do."""


@dataclass(frozen=True)
class HardwarePlan:
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


def shape_of(base: str) -> Shape:
    """The shape of a known base, or of a local folder from its config.json; NoPlan where neither tells it."""
    if base in SHAPES:
        return SHAPES[base]
    path = Path(base) / "config.json"
    if not path.is_file():
        raise NoPlan(
            f"{base}: its size is not known here, so what memory it takes is not either; of a local folder it is read"
        )
    config = read_json(path)
    if any("expert" in key for key in config):
        raise NoPlan(f"{path} is of a mixture of experts, of which the memory is not computed here")
    try:
        return _shape(config)
    except KeyError as error:
        raise NoPlan(f"{path} names no {error.args[0]}, so what memory the model takes is not known") from error


def _shape(config: dict[str, Any]) -> Shape:
    kind, hidden, heads = config.get("model_type"), config["hidden_size"], config["num_attention_heads"]
    head_size = config.get("head_dim") or hidden // heads
    queries = heads * head_size
    key_value_heads = config.get("num_key_value_heads") or heads
    learned = _LEARNED_POSITIONS.get(kind or "")
    return Shape(
        vocabulary=config["vocab_size"],
        hidden=hidden,
        layers=config["num_hidden_layers"],
        inner=config["ffn_dim"] if "ffn_dim" in config else config["intermediate_size"],
        attention=queries + 2 * key_value_heads * head_size,
        queries=queries,
        embedding=config.get("word_embed_proj_dim") or hidden,
        gated=kind not in _PLAIN,
        tied=config.get("tie_word_embeddings", True),
        positions=0 if learned is None else config["max_position_embeddings"] + learned,
    )


def plan(hardware: Hardware, model: ModelConfig, stage: StageConfig) -> HardwarePlan:
    """The best way to train a stage on `hardware` that `model` and `stage` leave open; what the user has set is kept.

    A base 'auto' is the largest known one of which at least four rows fit the GPU at once, or the built-in one where
    there is no GPU; its method, where none is set, is the first of full, LoRA and QLoRA that fits. The rows of a step
    are the stage's on every machine, so that all take the same steps: what is chosen is in how many batches they go
    through the memory. Raises NoPlan where nothing fits, or the size of a base is not known.
    """
    room = int((hardware.gpu_bytes - _CONTEXT_BYTES) * _USABLE) if hardware.gpu_bytes else hardware.ram_bytes // 2
    where = f"{hardware.gpu} with {hardware.gpu_bytes / _GIB:.0f} GiB" if hardware.gpu_bytes else "no GPU"
    if hardware.gpu and not hardware.gpu_bytes:
        where = f"{hardware.gpu}, of which nvidia-smi does not tell the memory"
    bf16 = model.precision == "bf16" or (model.precision == "auto" and hardware.bf16)
    automatic = model.base == "auto"
    names = ["tiny"] if automatic and not hardware.gpu_bytes else list(SHAPES) if automatic else [model.base]
    rows_per_step = stage.rows_per_batch * stage.batches_per_step
    batches = [stage.rows_per_batch]
    if not {"rows_per_batch", "batches_per_step"} & stage.model_fields_set:
        batches = [rows for rows in range(rows_per_step, 0, -1) if rows_per_step % rows == 0]
    methods: list[Method] = [model.method]
    if automatic and "method" not in model.model_fields_set:
        methods = ["full", "lora", "qlora"]
    for name in names:
        for method in methods:
            if (name, method) == ("tiny", "qlora"):
                raise NoPlan(
                    f"{where}: method qlora is for pretrained bases, and none of those known fits; leave it out"
                )
            for rows in batches:
                needed = bytes_needed(shape_of(name), method, rows * stage.row_tokens, bf16, model.lora_rank)
                if needed <= room and (rows >= min(4, batches[0]) or not automatic):
                    chosen = "the largest that fits" if automatic else "as set"
                    reason = f"{where}; {chosen}: {needed / _GIB:.1f} of {room / _GIB:.1f} GiB"
                    steps = rows_per_step // rows
                    return HardwarePlan(name, method, "bf16" if bf16 else "float32", rows, steps, needed, reason)
    raise NoPlan(
        f"{name} with method {method} needs {needed / _GIB:.1f} GiB, and {where} leaves {room / _GIB:.1f}: "
        "choose a smaller base, or model.method lora or qlora"
    )


def settled(model: ModelConfig, stage: StageConfig, hardware: Hardware) -> tuple[ModelConfig, StageConfig]:
    """`model` and `stage` with what they leave open chosen for `hardware`.

    Where a base that the user has set does not fit by this estimate, or there is none, all is kept as it is set. Raises
    NoPlan where the base is 'auto' and none fits.
    """
    try:
        chosen = plan(hardware, model, stage)
    except NoPlan:
        if model.base == "auto":
            raise
        return model, stage
    batch = {"rows_per_batch": chosen.rows_per_batch, "batches_per_step": chosen.batches_per_step}
    return (
        model.model_copy(update={"base": chosen.base, "method": chosen.method}),
        stage.model_copy(update=batch),
    )


def training_hardware(cluster: ClusterConfig) -> Hardware:
    """What the machine has that will train: this one, or one of the cluster that has what a training is given."""
    if cluster.address is None:
        return find_hardware()
    shared, jobs = cluster.train.workers > 1, cluster.jobs
    needs = {"CPU": 1 if shared else jobs.cpus, "GPU": cluster.train.gpus_per_worker if shared else jobs.gpus}
    return ask(cluster.address, find_hardware, needs)


def find_hardware() -> Hardware:
    """What this machine has: its first NVIDIA GPU as nvidia-smi tells, its memory, and whether bf16 is fast."""
    ram_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    program = shutil.which("nvidia-smi")
    if program:
        query = [program, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        told = found.stdout.strip().splitlines()[0].rsplit(",", 2) if found.stdout.strip() else []
        if found.returncode == 0 and len(told) == 3:
            name, mib, capability = (part.strip() for part in told)
            # Of memory that it shares with the processor, nvidia-smi says "[N/A]".
            return Hardware(name, int(_number(mib)) * 2**20, ram_bytes, _number(capability) >= 8)
    return Hardware("", 0, ram_bytes, bf16_is_fast_on_cpu())


def _number(told: str) -> float:
    """What nvidia-smi says as a number, 0 where it says none."""
    try:
        return float(told)
    except ValueError:
        return 0.0


def hardware_table() -> str:
    """What the known bases need on a GPU, as a table in Markdown: bf16, 4 rows of 256 tokens."""
    rows = []
    methods: tuple[Method, ...] = ("full", "lora", "qlora")
    for name in ("unsloth/Qwen3-1.7B", "facebook/opt-350m"):
        shape = SHAPES[name]
        figures = [
            f"{bytes_needed(shape, method, 4 * 256, bf16=True) / _USABLE / _GIB + 1:.1f} GiB" for method in methods
        ]
        rows.append([name, f"{shape.parameters / 1e6:,.0f} M", *figures])
    return table(["base", "parameters", *methods], rows)
