"""Settings of the language room: base model, stages, decoding, and the job that a training process is given.

Torch-free, because the code server imports it. A stage is data: a fourth one is one more entry in `STAGES`.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from posellm_assets.program import Job
from posellm_assets.records import Record

Task = Literal["motion", "t2m", "m2t", "denoise", "continuation", "between"]
Method = Literal["full", "lora", "qlora"]


class TinyConfig(Record):
    """Shape of the built-in base model: a small Qwen3 with a byte-level BPE tokenizer trained on the texts."""

    hidden_size: int = Field(default=128, gt=0, description="Width of the layers")
    layers: int = Field(default=4, gt=0, description="Layers of the transformer")
    attention_heads: int = Field(default=4, gt=0, description="Heads of attention in each layer")
    key_value_heads: int = Field(
        default=2, gt=0, description="Heads of keys and values, which heads of attention share"
    )
    head_size: int = Field(default=32, gt=0, description="Width of a head")
    intermediate_size: int = Field(default=384, gt=0, description="Width of the feed-forward layers")
    max_positions: int = Field(default=2048, gt=0, description="Most tokens in a row")
    text_tokens: int = Field(default=768, ge=300, description="Size of the text vocabulary, of which 256 are the bytes")


class ModelConfig(Record):
    """The base model and how much of it is trained."""

    base: str = Field(
        default="tiny",
        description="Where training starts without a parent: 'tiny', a Hugging Face id, a local folder, or 'auto': "
        "the largest known one that the GPU can train",
    )
    method: Method = Field(
        default="full",
        description="'full' trains every weight, 'lora' small matrices beside a frozen base, 'qlora' the same beside a "
        "base in 4 bits; where base is 'auto' and this is not set, the first of them that fits",
    )
    lora_rank: int = Field(default=16, gt=0, description="Rank of the adapters")
    lora_alpha: int = Field(
        default=32, gt=0, description="Their scale: what an adapter adds is multiplied by lora_alpha / lora_rank"
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of an adapter's inputs that is left out at random in training"
    )
    backend: Literal["auto", "hf", "unsloth"] = Field(
        default="auto",
        description="'auto' takes Unsloth where it is installed and can load the model, else transformers",
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        default="auto",
        description="Arithmetic of the forward pass; 'auto' takes bf16 where the processor is fast at it",
    )
    tiny: TinyConfig = TinyConfig()

    @model_validator(mode="after")
    def _four_bits_of_something_learned(self) -> "ModelConfig":
        if self.base == "tiny" and self.method == "qlora":
            raise ValueError(
                "method 'qlora' keeps a pretrained base in 4 bits; 'tiny' is none: set base, or method full"
            )
        return self


class StageConfig(Record):
    """One training stage. Its budget is a number of optimizer steps, so that a run can be repeated exactly."""

    name: str = Field(
        pattern="^[A-Za-z][A-Za-z0-9_]*$", description="Of its asset and its folder: letters, digits and underscores"
    )
    tasks: dict[Task, float] = Field(description="Share of each task; drawn afresh for every clip in every epoch")
    steps: int = Field(gt=0, description="Steps of training")
    passes: float = Field(
        default=0.35,
        gt=0,
        description="Of a generation that continues from another: how often it sees the new clips, relative to how "
        "often `steps` shows all clips to a model that starts from the base",
    )
    learning_rate: float = Field(default=2e-3, gt=0, description="The highest learning rate")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps in which the learning rate rises")
    weight_decay: float = Field(default=0.1, ge=0, description="Weight decay of the optimizer")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="A longer gradient is scaled down to this length")
    row_tokens: int = Field(default=256, ge=32, description="Length of a packed row; longer motions are split")
    rows_per_batch: int = Field(
        default=4,
        gt=0,
        description="Rows in the memory at once; where neither this nor batches_per_step is set, the four rows of a "
        "step go through it in as many batches as fit",
    )
    batches_per_step: int = Field(default=1, gt=0, description="Gradient accumulation")
    mask_rate: float = Field(default=0.15, ge=0, le=1, description="Share of codes that 'denoise' hides")
    near_read: float = Field(
        default=0.0, ge=0, le=1, description="Share of the codes that are read as one of the codes beside them"
    )
    near_written: float = Field(
        default=0.0, ge=0, lt=1, description="Share of a code's probability that the codes beside it get as the answer"
    )
    checkpoint_every: int | None = Field(
        default=None, gt=0, description="Steps between checkpoints, beside the ones at half and at the end of the stage"
    )
    checkpoint_minutes: float | None = Field(default=None, gt=0, description="Minutes between further checkpoints")
    gradient_checkpointing: bool = Field(
        default=False,
        description="Compute activations a second time instead of keeping them: less memory for more time",
    )
    evaluate_every: int | None = Field(
        default=None, gt=0, description="Steps between evaluations on held-out clips; by default a fifth of all"
    )
    patience: int | None = Field(
        default=None,
        gt=0,
        description="Stop after so many evaluations in a row without a lower loss and keep the best weights",
    )

    @model_validator(mode="after")
    def _patience_has_evaluations(self) -> "StageConfig":
        if self.patience and not self.evaluate_every:
            raise ValueError(f"stage {self.name}: patience counts evaluations, so evaluate_every must be given too")
        return self

    @model_validator(mode="after")
    def _tasks_can_be_drawn(self) -> "StageConfig":
        if min(self.tasks.values(), default=0) < 0 or sum(self.tasks.values()) <= 0:
            raise ValueError(f"stage {self.name}: the shares of its tasks must be >= 0 and not all 0, got {self.tasks}")
        return self


STAGES: tuple[StageConfig, ...] = (
    StageConfig(name="stage1", tasks={"motion": 1.0}, steps=120, passes=0.05),
    StageConfig(name="stage2", tasks={"t2m": 0.5, "m2t": 0.3, "denoise": 0.2}, steps=300, passes=0.25),
    # Without the replay of m2t (a share of 0), this stage forgets most of what stage 2 learned about it.
    StageConfig(
        name="stage3",
        tasks={"t2m": 0.6, "m2t": 0.4},
        steps=200,
        passes=0.75,
        learning_rate=1e-3,
        near_read=0.2,
        near_written=0.3,
    ),
)


class GenerationConfig(Record):
    """What a model that continues from a released one is trained on, and for how long."""

    replay: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Share of the clips of an epoch that the parent was trained on already; 0 trains on new clips only",
    )
    replay_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="How much of the replay falls to a sport, relative to the others (1 where not named)"
    )
    learning_rate: float = Field(default=1.0, gt=0, description="Learning rate, relative to that of the stage")


class Replay(Record):
    """Which clips are new to the parent of a job, and how many of the others are drawn beside them."""

    new: list[str] = Field(min_length=1, description="Keys of the videos that the parent was not trained on")
    share: float = Field(ge=0, lt=1, description="Share of the clips of an epoch that the parent knows")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default={}, description="Weight of a sport; 1 by default")


class SamplingConfig(Record):
    """How motion is drawn from the model, and how long it may get (lengths relative to the median of the text)."""

    temperature: float = Field(default=0.5, ge=0, description="0 takes the likeliest code at every place")
    top_p: float = Field(
        default=0.9, gt=0, le=1, description="Draw among the likeliest codes that together have this probability"
    )
    own_codes: bool = Field(
        default=False, description="Of a text that was seen in training, only the codes that it was seen with"
    )
    min_length: float = Field(default=0.6, ge=0, description="Shortest motion, as a share of the median length")
    max_length: float = Field(default=1.4, ge=1, description="Longest motion, as a share of the median length")
    end_slope: float = Field(
        default=0.25, ge=0, description="Added to the end's logit for each time step beyond the median length"
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "SamplingConfig":
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length:g} is over max_length {self.max_length:g}: lower it")
        return self


class StageJob(Job):
    """What `python -m posellm_assets.language.train` is given."""

    program: ClassVar[str] = "posellm_assets.language.train"
    together: ClassVar[bool] = True

    train: Path = Field(description="Examples (parquet), all variants")
    val: Path | None = Field(default=None, description="Held-out examples (parquet)")
    out: Path = Field(description="Folder for checkpoints, losses, result and the finished model")
    stage: StageConfig
    model: ModelConfig = ModelConfig()
    parent: Path | None = Field(
        default=None, description="Finished model folder to start from; none starts from the base"
    )
    replay: Replay | None = Field(default=None, description="What is new to the parent; without it, all clips are")
    codebook_size: int = Field(gt=0, description="Codes of all places of a step together")
    codes_per_step: int = Field(default=1, gt=0, description="So many codes in a row make one time step")
    lineage: str = Field(
        default="", description="Tokenizer lineage of the codes; a parent of another lineage is refused"
    )
    tokenizer: Path | None = Field(
        default=None,
        description="Folder of the motion tokenizer: new code tokens begin as near to one another as its codes are",
    )
    snapshot: str = Field(default="", description="The snapshot that the examples come from")
    hub: str | None = Field(
        default=None,
        description="Where checkpoints are also put: a folder, an fsspec URL or hf://NAMESPACE/REPOSITORY/FOLDER",
    )
    seed: int = 0
    threads: int = Field(
        default=1, gt=0, description="Torch threads; resuming is bit-identical only for the same number"
    )
