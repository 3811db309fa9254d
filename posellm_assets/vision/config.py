"""Settings of vision-language models: which frames one sees, the model, and how it is trained.

Torch-free, because the code server imports it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from posellm_assets.program import Job
from posellm_assets.records import Record

TINY = "tiny-vl"


class FramesConfig(Record):
    """Which frames of an action are shown to the model: evenly spaced, letterboxed to a square, never stretched."""

    count: int = Field(default=8, ge=2, multiple_of=2, description="Frames of a clip; the models take them in pairs")
    size_px: int = Field(default=96, ge=28, description="Side of the square; 224 and more for Qwen2.5-VL and Qwen3-VL")
    before_hit_s: float = Field(default=0.5, ge=0, description="Where the hit is known: seconds before it")
    after_hit_s: float = Field(default=1.0, gt=0, description="and after it that the frames are taken from")


class TinyVisionConfig(Record):
    """Shape of the built-in model: a small Qwen3-VL that is made on the spot and knows nothing yet."""

    patch_px: int = Field(default=16, gt=0, description="Side of the patches that a picture is cut into")
    merge: int = Field(
        default=6,
        gt=0,
        description="Patches along a side that become one token; 6 of 16 pixels are a whole frame of 96, so that the "
        "language model reads bodies and need not learn to put them together from their parts",
    )
    vision_size: int = Field(default=32, gt=0, multiple_of=4, description="Width of the layers that look at patches")
    vision_layers: int = Field(default=2, gt=0, description="Layers that look at patches")
    hidden_size: int = Field(default=128, gt=0, description="Width of the layers of the language model")
    layers: int = Field(default=3, gt=0, description="Layers of the language model")
    attention_heads: int = Field(default=4, gt=0, description="Heads of attention in each layer")
    text_tokens: int = Field(default=512, ge=300, description="Size of the text vocabulary, of which 256 are the bytes")


class VisionModelConfig(Record):
    """The base model and how much of it is trained."""

    base: str = Field(
        default=TINY, description="'tiny-vl', or a Qwen2.5-VL or Qwen3-VL model: a Hugging Face id or a local folder"
    )
    method: Literal["auto", "full", "lora"] = Field(
        default="auto",
        description="'full' trains every weight, 'lora' small matrices beside a frozen base; 'auto' is full for "
        "tiny-vl, which has learned nothing that could be kept, and lora for any other",
    )
    lora_rank: int = Field(default=64, gt=0, description="Rank of the adapters")
    lora_alpha: int = Field(
        default=32, gt=0, description="Their scale: what an adapter adds is multiplied by lora_alpha / lora_rank"
    )
    lora_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of an adapter's inputs that is left out at random in training"
    )
    train_vision: bool = Field(default=False, description="LoRA in the vision tower too")
    train_aligner: bool = Field(
        default=False, description="LoRA in the aligner too, which puts what the tower sees into the language model"
    )
    backend: Literal["auto", "hf", "unsloth"] = Field(
        default="auto", description="'auto' takes Unsloth on a CUDA device where it can load the model"
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        default="auto",
        description="Arithmetic of the forward pass; 'auto' takes bf16 where the processor is fast at it",
    )
    frames: FramesConfig = FramesConfig()
    tiny: TinyVisionConfig = TinyVisionConfig()

    @property
    def trained(self) -> Literal["full", "lora"]:
        """What `method` comes down to."""
        if self.method != "auto":
            return self.method
        return "full" if self.base == TINY else "lora"


class VisionTrainingConfig(Record):
    """How long and how fast the model is trained; the defaults are for tiny-vl on a few clips."""

    epochs: float = Field(
        default=40.0, gt=0, description="Times that each class is gone through, rare ones oversampled"
    )
    clips_per_batch: int = Field(default=8, gt=0, description="Clips in a batch")
    batches_per_step: int = Field(default=1, gt=0, description="Gradient accumulation")
    learning_rate: float = Field(default=1e-3, gt=0, description="The highest learning rate")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps in which the learning rate rises")
    weight_decay: float = Field(default=0.05, ge=0, description="Weight decay of the optimizer")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="A longer gradient is scaled down to this length")
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations a second time instead of keeping them: less memory, more time"
    )
    evaluations: int = Field(
        default=4, gt=0, description="Times that the held-out clips are scored; the weights of the best are kept"
    )
    checkpoint_every: int | None = Field(
        default=None, gt=0, description="Steps between checkpoints, beside the ones at half, at the end and of the best"
    )
    checkpoint_minutes: float | None = Field(default=None, gt=0, description="Minutes between further checkpoints")


class VisionJob(Job):
    """What is given to a program that trains a vision-language model."""

    dataset: Path = Field(description="Folder of the data set, as the command or asset that makes it wrote it")
    out: Path = Field(description="Folder for checkpoints, losses, result and the finished model")
    model: VisionModelConfig = VisionModelConfig()
    training: VisionTrainingConfig = VisionTrainingConfig()
    hub: str | None = Field(default=None, description="URL of the store to which checkpoints are copied")
    seed: int = 0
    threads: int = Field(
        default=1, gt=0, description="Torch threads; resuming is bit-identical only for the same number"
    )
