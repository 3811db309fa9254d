"""What every asset shares: owners, the house style of a spec, columns and pictures for the UI."""

import base64
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.defs.partitions import snapshots
from posellm_assets.reports import markdown
from posellm_assets.reports.plain import visible

OWNERS = ["team:posellm"]


def spec(name: str, group: str, description: str, *, kinds: set[str], **rest: Any) -> dg.AssetSpec:
    """An asset spec in the house style: group, kinds, owners and a description are always there."""
    return dg.AssetSpec(name, group_name=group, description=description, kinds=kinds, owners=OWNERS, **rest)


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """The single numbers and words of a record."""
    return {name: value for name, value in record.items() if isinstance(value, int | float | str)}


def snapshot_asset(
    group: str, *, deps: Iterable[str | dg.AssetDep], kinds: set[str], code_version: str = "1", pool: str | None = None
) -> Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]:
    """An asset with a partition per snapshot that is made in the process of its run."""
    return dg.asset(
        group_name=group,
        partitions_def=snapshots,
        deps=deps,
        kinds=kinds,
        owners=OWNERS,
        code_version=code_version,
        pool=pool,
    )


def columns(schema: Any) -> dg.TableSchema:
    """The columns of a pyarrow schema, for `dagster/column_schema`."""
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in schema])


def picture(content: bytes, kind: str) -> dg.MarkdownMetadataValue:
    """A PNG or JPEG that the UI shows in place; `kind` is png or jpeg."""
    return dg.MetadataValue.md(f"![](data:image/{kind};base64,{base64.b64encode(content).decode()})")


def listed(points: Iterable[str]) -> dg.MarkdownMetadataValue:
    """Sentences under one another."""
    return dg.MetadataValue.md("\n".join(f"- {markdown.escaped(point)}" for point in points))


def noted(points: Iterable[tuple[str, str]]) -> dg.MarkdownMetadataValue:
    """Sentences under one another, each after what it is about; nothing where there are none."""
    return dg.MetadataValue.md("\n".join(f"- *{markdown.escaped(a)}*: {markdown.escaped(b)}" for a, b in points))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A table that the UI shows."""
    return dg.MetadataValue.md(markdown.table(header, rows))


def jpeg(path: Path) -> dg.MarkdownMetadataValue:
    """The JPEG at `path`, for the UI."""
    return picture(path.read_bytes(), "jpeg")


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
