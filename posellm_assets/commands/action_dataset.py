"""Clips with their classes from folders, a table of segments, or the lake. Only the command line imports this."""

from pathlib import Path

from posellm_assets.actions.dataset.clips import ActionDataset, Refused, UnusableDataset
from posellm_assets.actions.dataset.sources import SourceExamples, from_folders, from_lake, from_segments
from posellm_assets.actions.dataset.writing import write_dataset
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets.pool import LocalPool
from posellm_assets.settings import Settings


def make_action_dataset(
    lake: Lake, settings: Settings, source: Path | None, sport: str | None, match: str | None, out: Path
) -> tuple[ActionDataset, list[Refused], list[str]]:
    """Write the data set of `source` (a folder of folders or a CSV file) or else of the lake's labelled footage.

    Returns it with what was refused and with the keys of motion capture, which a data set of videos leaves out.
    Raises UnusableDataset or LabelSetError where nothing can be made of it.
    """
    found = _found(lake, source, sport, match)
    config = settings.actions.dataset
    dataset, refused = write_dataset(
        out, found.examples, found.refused, found.label_set, config, LocalPool(), settings.seed
    )
    return dataset, refused, found.without_pictures


def _found(lake: Lake, source: Path | None, sport: str | None, match: str | None) -> SourceExamples:
    if source is None:
        return from_lake(
            lake, (key for key in lake.registered_videos() if sport in (None, sport_of(key))), sport or "all"
        )
    if sport is None:
        raise UnusableDataset("say with --sport whose classes these are; without a label set, any name will do")
    if source.is_dir():
        return from_folders(source, sport, lake, match)
    if source.is_file():
        return from_segments(source, sport, lake)
    raise UnusableDataset(f"{source} is neither a folder with a folder for each class nor a CSV file of segments")
