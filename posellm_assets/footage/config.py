"""Settings of the drop zone: how long a file must rest, and how much a look at the lake may do at once."""

from pydantic import BaseModel, ConfigDict, Field


class FootageConfig(BaseModel):
    """How new footage is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settle_s: float = Field(
        default=10.0, ge=0, description="A file is taken once its size and time have not changed for this long"
    )
    interval_s: int = Field(default=10, ge=1, description="Seconds between two looks at the drop zone")
    max_files_per_tick: int = Field(
        default=200, ge=1, description="New files registered in one tick; the rest waits for the next"
    )
    tick_budget_s: float = Field(
        default=20.0, gt=0, description="A tick starts no further file after this long (Dagster ends a tick at 60 s)"
    )
    videos_per_run: int = Field(default=50, ge=1, description="New videos that one ingest run takes as a range")
