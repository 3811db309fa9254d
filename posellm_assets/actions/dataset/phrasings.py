"""How clips are asked about and answers are put, per language; the sentences are data in `phrasings.yaml`."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field

from posellm_assets.records import Record


class Phrasings(Record):
    """Questions about a clip, and answers around `{action}`; the first of each is what val, test and scoring use."""

    questions: list[str] = Field(min_length=1)
    answers: list[str] = Field(min_length=1)


@cache
def phrasings() -> dict[str, Phrasings]:
    """The phrasings of every language."""
    content = yaml.safe_load(files(__package__).joinpath("phrasings.yaml").read_text(encoding="utf-8"))
    return {language: Phrasings.model_validate(own) for language, own in content.items()}
