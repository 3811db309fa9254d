"""Settings of the drop zone: how long a file must rest, and how much a look at the lake may do at once."""

from pydantic import Field

from posellm_assets.records import Record


class FootageConfig(Record):
    """How new footage is found."""

    settle_s: float = Field(
        default=10.0, ge=0, description="a file is taken once its size and time have not changed for this long"
    )
    max_files_per_tick: int = Field(
        default=200, ge=1, description="new files registered in one tick of the sensor; the rest waits for the next"
    )
    tick_budget_s: float = Field(
        default=20.0, gt=0, description="a tick starts no further file after this long (Dagster ends a tick at 60 s)"
    )
