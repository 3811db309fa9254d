"""Settings of the texts room."""

from typing import Literal

from pydantic import Field, field_validator

from posellm_assets.records import Record

Language = Literal["en", "es", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "es", "zh")


class TextsConfig(Record):
    """What captions are written in."""

    languages: tuple[Language, ...] = Field(
        default=("en",), min_length=1, description="Languages that captions are written in, each once: en, es, zh"
    )

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: tuple[Language, ...]) -> tuple[Language, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError(f"texts.languages names a language twice: {', '.join(languages)}")
        return languages
