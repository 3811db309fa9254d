"""Where examples come from: a folder for each class, labelled footage of the lake, labelled segments of long videos.

Each source gives the examples it found and what it refused; whether a video can be read shows when it is written.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from posellm_assets.actions.dataset.clips import ActionExample, Refused, UnusableDataset
from posellm_assets.actions.dataset.label_set import LabelSet, LabelSetError
from posellm_assets.files import read_json
from posellm_assets.footage.labels import LabelError, read_labels
from posellm_assets.footage.manifest import normalised_participant, read_manifest
from posellm_assets.footage.scan import IGNORED_ENDINGS
from posellm_assets.footage.splits import split_of
from posellm_assets.footage.video import VideoInfo
from posellm_assets.generations.inventory import taken_out
from posellm_assets.keys import ALL_SPORTS, slug, sport_of
from posellm_assets.lake import Lake
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.vision.frames import Box, box_of

COLUMNS = ("file", "start_s", "end_s", "label", "participant", "match", "hit_s")


@dataclass
class SourceExamples:
    """What a source holds: its classes, its examples, and what could not be used."""

    label_set: LabelSet
    examples: list[ActionExample] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    without_pictures: list[str] = field(default_factory=list)
    """Keys of motion capture and landmarks: nothing is wrong with them, but a data set of videos has no place for
    them."""
    names: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        path: Path,
        class_id: str,
        group: str | None,
        span_s: tuple[float, float] = (0.0, math.inf),
        key: str | None = None,
        hit_s: float | None = None,
        box: Box | None = None,
    ) -> None:
        """Add a clip of `class_id`; `group` is its participant or match."""
        name = f"{class_id}_{key or slug(path.stem)}" + (f"-{round(1000 * span_s[0])}" if span_s[0] else "")
        self.names[name] += 1
        who = normalised_participant(group)
        self.examples.append(
            ActionExample(
                id=f"{name}_{self.names[name]}" if self.names[name] > 1 else name,
                video=path,
                start_s=span_s[0],
                end_s=span_s[1],
                class_id=class_id,
                participant=group,
                split=split_of(who or key or path.name),
                key=key,
                hit_s=hit_s,
                box=box,
            )
        )

    def refuse(self, what: object, reason: str) -> None:
        """Note what cannot be used."""
        self.refused.append(Refused(str(what), reason))


def found_in(lake: Lake, source: Path | None, sport: str | None, match: str | None) -> SourceExamples:
    """What `source` holds: a folder of folders, a CSV file of segments, a JSON file of conversations; None is the lake.

    Raises UnusableDataset or LabelSetError where nothing can be made of it.
    """
    if source is None:
        own = (key for key in lake.registered_videos() if sport in (None, sport_of(key)))
        return from_lake(lake, own, sport or ALL_SPORTS)
    if sport is None:
        raise UnusableDataset("say with --sport whose classes these are; without a label set, any name will do")
    if source.is_dir():
        return from_folders(source, sport, lake, match)
    if source.is_file() and source.suffix.lower() == ".json":
        return from_conversations(source, sport, lake, match)
    if source.is_file():
        return from_segments(source, sport, lake)
    raise UnusableDataset(
        f"{source} is neither a folder with a folder for each class, nor a CSV file of segments, nor a JSON file "
        "of conversations"
    )


def from_folders(root: Path, sport: str, lake: Lake | None = None, match: str | None = None) -> SourceExamples:
    """A folder for each class, named in any language of the sport's label set (or, without one, as the class itself).

    Participants come from sidecars and `labels.csv`; `match` is a regular expression whose first group finds the match
    in the name of a file. Raises UnusableDataset where there are no folders, LabelSetError where the set is wrong.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise UnusableDataset(f"{root} has no folders; put the clips of each class into a folder with the class's name")
    pattern = _pattern(match)
    label_set = LabelSet.load(sport, lake)
    found = SourceExamples(label_set or LabelSet.of_labels(sport, (folder.name for folder in folders)))
    of_class: dict[str, list[Path]] = {}
    for folder in folders:
        one = found.label_set.class_of(folder.name)
        if one is None:
            found.refuse(folder, f"no class of {sport} is called {folder.name!r}: {_classes(found.label_set)}")
        else:
            of_class.setdefault(one.id, []).append(folder)
    for class_id, own in of_class.items():
        for folder in own if len(own) > 1 else []:
            others = ", ".join(repr(other.name) for other in own)
            found.refuse(folder, f"the folders {others} are all the class {class_id!r}; put their clips into one")
        if len(own) == 1:
            _add_folder(found, root, own[0], class_id, pattern)
    return found


def from_lake(lake: Lake, keys: Iterable[str], scope: str) -> SourceExamples:
    """The labelled videos among `keys`, with the classes of their sports; `scope` is a sport or `all`.

    A sport whose label set is wrong is refused, with its videos, and the others are done; so is footage that was taken
    out. Motion capture and landmarks are left out. Raises UnusableDataset where no video has a label.
    """
    wanted = [manifest for manifest in (read_manifest(lake, key) for key in sorted(keys)) if manifest.label]
    gone = taken_out(lake, [manifest.key for manifest in wanted])
    labelled = [manifest for manifest in wanted if manifest.key not in gone]
    videos = [(manifest, manifest.video) for manifest in labelled if isinstance(manifest.video, VideoInfo)]
    without_pictures = [manifest.key for manifest in labelled if not isinstance(manifest.video, VideoInfo)]
    sets, wrong = [], {}
    for sport in sorted({manifest.sport for manifest, _ in videos}):
        labels = {manifest.label for manifest, _ in videos if manifest.sport == sport and manifest.label}
        try:
            sets.append(LabelSet.load(sport, lake) or LabelSet.of_labels(sport, labels))
        except LabelSetError as error:
            wrong[sport] = str(error)
    if not sets:
        count = len(without_pictures)
        unseen = f"{count} labelled clips are motion capture or landmarks, without pictures." if count else ""
        taken = f"{len(gone)} were taken out." if gone else ""
        reasons = " ".join(filter(None, [*wrong.values(), unseen, taken]))
        raise UnusableDataset(f"no video of {scope} has a label that can be used. {reasons}".strip())
    found = SourceExamples(LabelSet.joined(scope, sets), without_pictures=without_pictures)
    for key, reason in gone.items():
        found.refuse(key, reason)
    by_sport = {label_set.sport: label_set for label_set in sets}
    for sport, reason in wrong.items():
        found.refuse(sport, reason)
    for manifest, info in ((manifest, info) for manifest, info in videos if manifest.sport in by_sport):
        one = by_sport[manifest.sport].class_of(manifest.label or "")
        if one is None:
            names = _classes(by_sport[manifest.sport])
            found.refuse(manifest.key, f"no class of {manifest.sport} is called {manifest.label!r}: {names}")
        else:
            path = lake.raw / manifest.source
            span_s = (0.0, info.duration_s)
            found.add(path, one.id, manifest.participant, span_s, manifest.key, box=_box(lake, manifest.key, span_s))
    return found


def from_segments(table: Path, sport: str, lake: Lake | None = None) -> SourceExamples:
    """The rows of a CSV file: `file` (beside it), `start_s`, `end_s`, `label`; maybe `participant`, `match`, `hit_s`.

    Where neither participant nor match is named, the video itself decides the split. Raises UnusableDataset where
    columns are missing or there are no rows.
    """
    with table.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        columns, rows = reader.fieldnames or [], list(reader)
    if not set(COLUMNS[:4]) <= set(columns) or not set(columns) <= set(COLUMNS) or not rows:
        raise UnusableDataset(
            f"{table}: expected rows with the columns {', '.join(COLUMNS[:4])}, and perhaps {', '.join(COLUMNS[4:])}; "
            f"found {len(rows)} rows with {', '.join(columns) or 'none'}"
        )
    label_set = LabelSet.load(sport, lake)
    found = SourceExamples(label_set or LabelSet.of_labels(sport, (row["label"] or "" for row in rows)))
    for line, row in enumerate(rows, 2):
        where = f"{table.name} line {line}"
        one = found.label_set.class_of(row["label"] or "")
        try:
            start_s, end_s = float(row["start_s"]), float(row["end_s"])
            hit_s = float(row["hit_s"]) if row.get("hit_s") else None
        except (TypeError, ValueError):
            found.refuse(where, f"start_s, end_s and hit_s are seconds, not {row['start_s']!r} and {row['end_s']!r}")
            continue
        if one is None:
            found.refuse(where, f"no class of {sport} is called {row['label']!r}: {_classes(found.label_set)}")
        elif not 0 <= start_s < end_s or (hit_s is not None and not start_s <= hit_s <= end_s):
            found.refuse(where, f"a segment from {start_s} to {end_s} s with a hit at {hit_s} is none")
        else:
            path = table.parent / (row["file"] or "")
            group = row.get("participant") or row.get("match") or path.name
            found.add(path, one.id, group, (start_s, end_s), hit_s=hit_s)
    return found


def from_conversations(table: Path, sport: str, lake: Lake | None = None, match: str | None = None) -> SourceExamples:
    """The videos of a JSON file as Qwen-VL's tools have it, each with the class that the answers about it name.

    Of `conversations`, `gpt` or `assistant` answers; paths are those beside the file. `match` is as in `from_folders`.
    Raises UnusableDataset where it is no such file, or the sport has no label set to find classes in answers with.
    """
    label_set, records, pattern = LabelSet.load(sport, lake), read_json(table), _pattern(match)
    if label_set is None:
        raise UnusableDataset(f"{sport} has no label set, by which classes are found in answers; add one to the lake")
    if not isinstance(records, list) or not records:
        raise UnusableDataset(f"{table}: expected a list of records with `video` and `conversations`")
    found, of_video = SourceExamples(label_set), dict[str, set[str | None]]()
    for number, record in enumerate(records, 1):
        try:
            answers = [turn["value"] for turn in record["conversations"] if turn["from"] in ("gpt", "assistant")]
            named = {one.id if (one := label_set.class_of(answer)) else None for answer in answers}
            of_video.setdefault(str(record["video"]), set()).update(named or {None})
        except (TypeError, KeyError, AttributeError):
            found.refuse(f"{table.name} record {number}", "it has no `video` and `conversations` of `from` and `value`")
    for name, classes in of_video.items():
        path, (class_id, *others) = table.parent / name, sorted(classes, key=str)
        if class_id is None or others:
            found.refuse(name, f"the answers name no class of {sport}, or several: {_classes(label_set)}")
        else:
            hit = pattern.search(path.name) if pattern else None
            found.add(path, class_id, hit[1] if hit else None)
    return found


def _box(lake: Lake, key: str, span_s: tuple[float, float]) -> Box | None:
    """Where the subject is in a video whose poses are known."""
    if not lake.poses(key).exists():
        return None
    poses = Poses.read(lake.poses(key))
    return box_of(subject_of(poses), *span_s)


def _add_folder(
    found: SourceExamples, root: Path, folder: Path, class_id: str, pattern: re.Pattern[str] | None
) -> None:
    clips = sorted(path for path in folder.iterdir() if path.is_file() and _may_be_clip(path))
    if not clips:
        found.refuse(folder, "the folder holds no clips")
    for path in clips:
        try:
            labels = read_labels(root.parent, f"{root.name}/{folder.name}/{path.name}")
        except LabelError as error:
            found.refuse(path, str(error))
            continue
        match = pattern.search(path.name) if pattern else None
        found.add(path, class_id, labels.participant or (match[1] if match else None))


def _may_be_clip(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.lower().endswith(IGNORED_ENDINGS)


def _pattern(match: str | None) -> re.Pattern[str] | None:
    if match is None:
        return None
    try:
        pattern = re.compile(match)
    except re.error as error:
        raise UnusableDataset(f"{match!r} is not a regular expression: {error}") from error
    if pattern.groups < 1:
        raise UnusableDataset(f"{match!r} has no group: put what names the match into brackets")
    return pattern


def _classes(label_set: LabelSet) -> str:
    names = [one.name("en") for one in label_set.classes]
    return f"its classes are {', '.join(names)}"
