"""Datasets out of the lake and into training. Only the command line imports this."""

from pathlib import Path

from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.keys import check_snapshot_key
from posellm_assets.lake import Lake
from posellm_assets.language.formats.adopt import adopt
from posellm_assets.language.formats.export import export_dataset
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.settings import Settings


def export_examples(lake: Lake, source: str | None, to: str, out: Path) -> dict[str, int]:
    """Export a snapshot (the newest where none is named) or a folder of examples; returns the records per split.

    Raises ValueError where there is nothing to export.
    """
    if source is not None and Path(source).is_dir():
        return export_dataset(Path(source), to, out, {"source": f"the examples in {Path(source).name}"})
    keys = snapshot_keys(lake)
    if source is None and not keys:
        raise ValueError(f"{lake.root} has no snapshot yet; train a generation, or name a folder of examples")
    key = check_snapshot_key(source or keys[-1])
    if not lake.snapshot(key).exists():
        raise ValueError(f"{lake.root} has no snapshot {key}; it has {', '.join(keys) or 'none'}")
    snapshot = read_snapshot(lake, key)
    about = {"snapshot": key, "frozen": snapshot.created_at, "motion tokenizer": snapshot.lineage}
    return export_dataset(lake.snapshot(key).parent, to, out, about)


def import_examples(
    dataset: Path, codes: int, layers: int, out: Path, settings: Settings
) -> tuple[dict[str, int], list[Path]]:
    """Make motion-LLM JSON ready to train on, with the stages and the model of the settings; see `adopt`."""
    model, hardware = settings.language.model, find_hardware()
    planned = [settled(model, stage, hardware) for stage in settings.language.stages]
    return adopt(dataset, codes, out, tuple(stage for _, stage in planned), planned[0][0], settings.seed, layers)
