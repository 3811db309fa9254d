"""Motion tokens: a video as code ids, stretch by stretch. Torch-free: the code server imports it.

How a motion becomes codes is the business of `tokenise`, what codes look like that of `tokenizer`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from posellm_assets.files import read_record, write_json
from posellm_assets.records import Record

ORIGINAL = "original"
"""The variant that is the movement as it was filmed."""

_Code = Annotated[int, Field(ge=0)]


class TokenVariant(Record):
    """A stretch as it was filmed (`original`), or augmented: mirrored, at another speed, shifted."""

    name: str
    mirrored: bool
    codes: tuple[_Code, ...] = Field(min_length=1)
    """Ids below the codebook's size, `codes_per_step` for every step of a motion."""


class TokenSegment(Record):
    """A stretch of the video without a gap, from `start_s` to `end_s`; the first variant is the original."""

    start_s: float = Field(allow_inf_nan=False)
    end_s: float = Field(allow_inf_nan=False)
    variants: tuple[TokenVariant, ...]

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes of the stretch as it was filmed."""
        return self.variants[0].codes

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.start_s >= self.end_s:
            raise ValueError(f"a stretch ends after it starts, not at {self.end_s} s after {self.start_s} s")
        if [variant.name == ORIGINAL for variant in self.variants] != [True] + [False] * (len(self.variants) - 1):
            raise ValueError(f"the first variant of a stretch, and no other, is the {ORIGINAL}")
        return self


class MotionTokens(Record):
    """A video as code ids of the tokenizer `lineage`."""

    schema_version: Literal[1] = 1
    key: str
    lineage: str
    codebook_size: int = Field(ge=1)
    codes_per_step: int = Field(ge=1)
    fps: float = Field(gt=0, allow_inf_nan=False)
    """Frames per second of the motion."""
    segments: tuple[TokenSegment, ...] = Field(min_length=1)
    mpjpe_mm: float = Field(ge=0, allow_inf_nan=False)
    """What is lost by writing the originals as codes: the mean joint position error, stretches weighted by length."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; FileNotFoundError where there is none, ValueError where it is damaged."""
        return read_record(path, cls, f"remove it and materialize motion_tokens for {path.stem} again")

    def write(self, path: Path) -> None:
        """Write the tokens atomically as JSON."""
        write_json(path, self.model_dump(mode="json"))

    @property
    def originals(self) -> list[list[int]]:
        """The codes of each stretch as it was filmed."""
        return [list(segment.codes) for segment in self.segments]

    @property
    def longest(self) -> TokenSegment:
        """The stretch of most codes, the first of several.

        Codes are counted and not seconds, because codes are what every reader then uses and they are whole numbers:
        times are rounded, which would decide between stretches of equal length.
        """
        return max(self.segments, key=lambda segment: len(segment.codes))

    @model_validator(mode="after")
    def _codes_of_the_codebook(self) -> Self:
        for segment in self.segments:
            for variant in segment.variants:
                if max(variant.codes) >= self.codebook_size or len(variant.codes) % self.codes_per_step:
                    raise ValueError(
                        f"the variant {variant.name} at {segment.start_s} s is not {self.codes_per_step} codes for "
                        f"every step, with ids from 0 to {self.codebook_size - 1}"
                    )
        return self
