"""What a tokenizer's codes are: the `config.json` of a lineage. Torch-free: the code server imports it.

The network that makes the codes, and its weights, are the business of `tokenizer`.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from posellm_assets.files import read_record, write_json
from posellm_assets.lake import Lake
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.records import Record

FILE = "config.json"


class Codebook(Record):
    """The codes of a tokenizer lineage, and how they were made."""

    schema_version: Literal[3] = 3
    lineage: str
    fps: float = Field(gt=0, allow_inf_nan=False)
    """Frames per second of the motions that it writes."""
    seed: int
    unknown: tuple[str, ...]
    """What the training motions could not know."""
    skeleton: dict[str, Any]
    """`Skeleton.to_json` of the motions that it writes."""
    parts: tuple[str, ...] = Field(min_length=1)
    """The body parts, in the order in which a layer of a step is written."""
    config: TokenizerConfig

    @property
    def size(self) -> int:
        """How many ids there are: those of all parts and layers."""
        return self.codes_per_step * self.config.codes

    @property
    def codes_per_step(self) -> int:
        """How many codes stand for a step."""
        return self.config.layers * len(self.parts)

    @property
    def frames_per_step(self) -> int:
        """How many frames of a motion a step is."""
        return self.config.frames_per_step

    @classmethod
    def of(cls, lake: Lake, lineage: str) -> Self:
        """The codebook of a lineage of the lake; raises as `read`, and ValueError where the folder holds another."""
        folder = lake.tokenizer(lineage)
        codebook = cls.read(folder)
        if codebook.lineage != lineage:
            raise ValueError(f"{folder} holds the tokenizer {codebook.lineage}, not {lineage}: copy the folder again")
        return codebook

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote; FileNotFoundError where nothing is there, ValueError where it is damaged."""
        return read_record(folder / FILE, cls, "copy the folder again, or train the tokenizer again")

    def write(self, folder: Path) -> None:
        """Write the description into the tokenizer's folder, atomically, as JSON."""
        write_json(folder / FILE, self.model_dump(mode="json"))
