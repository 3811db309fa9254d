"""What every asset shares: owners, the house style of a spec, columns and pictures for the UI."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from posellm_assets.defs.partitions import snapshots
from posellm_assets.lake import PAGE, Lake
from posellm_assets.reports import markdown
from posellm_assets.reports.plain import visible

OWNERS = ["team:posellm"]
PAGES = "/lake/"
"""Where `make ui` serves the pages and pictures of the lake."""


def spec(name: str, group: str, description: str, *, kinds: set[str], **rest: Any) -> dg.AssetSpec:
    """An asset spec in the house style: group, kinds, owners and a description are always there."""
    return dg.AssetSpec(name, group_name=group, description=description, kinds=kinds, owners=OWNERS, **rest)


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """The single numbers and words of a record."""
    return {name: value for name, value in record.items() if isinstance(value, int | float | str)}


def snapshot_asset(
    group: str,
    *,
    deps: Iterable[str | dg.AssetDep],
    kinds: set[str],
    code_version: str = "1",
    pool: str | None = None,
    shown_by: Callable[..., Any] | None = None,
    **rest: Any,
) -> Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]:
    """An asset with a partition per snapshot in the house style; `rest` goes to `dg.asset`.

    Its code is the decorated function, or `shown_by` where that says what to show of a program's result.
    """
    return lambda make: dg.asset(
        make,
        group_name=group,
        deps=deps,
        kinds=kinds,
        owners=OWNERS,
        code_version=code_version,
        pool=pool,
        metadata=code_of(shown_by or make),
        **{"partitions_def": snapshots, **rest},
    )


def code_of(make: Callable[..., Any]) -> dict[str, Any]:
    """Where the code that makes an asset stands, for the UI."""
    code = make.__code__
    here = dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[here])}


def columns(schema: Any, said: Mapping[str, str]) -> dg.TableSchema:
    """The columns of a pyarrow schema with what is `said` of each, for `dagster/column_schema`."""
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type), said[field.name]) for field in schema])


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG that the UI shows; the log holds it."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def listed(points: Iterable[str]) -> dg.MarkdownMetadataValue:
    """Sentences under one another."""
    return dg.MetadataValue.md("\n".join(f"- {markdown.escaped(point)}" for point in points))


def noted(points: Iterable[tuple[str, str]]) -> dg.MarkdownMetadataValue:
    """Sentences under one another, each after what it is about; nothing where there are none."""
    return dg.MetadataValue.md("\n".join(f"- *{markdown.escaped(a)}*: {markdown.escaped(b)}" for a, b in points))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A table that the UI shows."""
    return dg.MetadataValue.md(markdown.table(header, rows))


def sheet(lake: Lake, path: Path) -> dg.MarkdownMetadataValue:
    """The JPEG at `path` in the lake, which `make ui` shows in place: the log holds a link and no picture."""
    return dg.MetadataValue.md(f"![]({served(lake, path)})")


def page(lake: Lake, folder: Path) -> dict[str, Any]:
    """The report in a folder of the lake: a link that opens it under `make ui`, and the file."""
    file = folder / PAGE
    return {"report": dg.MetadataValue.url(served(lake, file)), "file": file}


def served(lake: Lake, file: Path) -> str:
    """The path under which `make ui` serves a page or picture of the lake."""
    return PAGES + quote(str(file.relative_to(lake.root)))


def stored(context: dg.AssetExecutionContext, result: dict[str, Any]) -> dict[str, Any]:
    """Where the checkpoints of a training went, as metadata; what could not be stored is a warning there and logged."""
    store = result["store"]
    for warning in store["warnings"]:
        context.log.warning(visible(warning))
    said = "\n".join(f"- **warning**: {markdown.escaped(warning)}" for warning in store["warnings"])
    return {"checkpoints": store["url"], **({"not stored": dg.MetadataValue.md(said)} if said else {})}


def every_video(*assets: str) -> list[dg.AssetDep]:
    """Dependencies on assets with a partition per video, from an asset that reads any number of videos."""
    return [dg.AssetDep(asset, partition_mapping=dg.AllPartitionMapping()) for asset in assets]
