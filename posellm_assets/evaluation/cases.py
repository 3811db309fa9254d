"""What a report measured case by case, so that two models can be compared on the same cases."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.files import write_atomic
from posellm_assets.reports.metrics import Figure, average, share

FILE = "cases.parquet"

_SCHEMA = pa.schema(
    [
        pa.field("figure", pa.string(), nullable=False),
        pa.field("case", pa.string(), nullable=False),
        pa.field("key", pa.string()),
        pa.field("sport", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Case:
    """One value behind a figure. `case` names what was asked, the same for every model; `key` is the held-out video,
    None where something was generated for a text."""

    figure: str
    case: str
    key: str | None
    sport: str
    label: str | None
    value: float
    weight: float = 1.0


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write cases as a table."""
    write_atomic(path, partial(pq.write_table, pa.Table.from_pylist([asdict(case) for case in cases], schema=_SCHEMA)))


def read_cases(path: Path) -> list[Case]:
    """What `write_cases` wrote."""
    return [Case(**row) for row in pq.read_table(path).to_pylist()]


def figure_of(cases: Sequence[Case]) -> Figure:
    """The mean of cases with its interval: that of a share where all values are 0 or 1, else from their spread."""
    values = [case.value for case in cases]
    if set(values) <= {0.0, 1.0}:
        return share(round(sum(values)), len(values))
    return average(values, [case.weight for case in cases])
