"""The base of everything typed that is written to JSON or read from settings."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Settings, a job or a file of the lake: it never changes, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
