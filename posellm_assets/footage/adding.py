"""The way in for `posellm add`: files and folders, looked at and copied to the drop zone, each whole or not."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from posellm_assets.files import json_bytes, sha256_of, write_new
from posellm_assets.footage.capture import UnreadableCapture
from posellm_assets.footage.labels import Labels, read_imported_table, sidecar_of
from posellm_assets.footage.register import probe_footage
from posellm_assets.footage.scan import IGNORED_ENDINGS, LAYOUT, drop_zone, printable
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.problems import attempted


@dataclass(frozen=True)
class Clip:
    """A file to add, and what its place says of it."""

    file: Path
    sport: str | None
    folder: str | None = None
    """The folder of the sport that it goes into, which names its label."""
    refused: str = ""
    """Why its place says too little or too much; empty where it does not."""


def add(
    lake: Lake,
    paths: Sequence[Path],
    sport: str | None = None,
    label: str | None = None,
    participant: str | None = None,
    label_from_folders: bool = False,
) -> Iterator[tuple[Path, Path | Exception]]:
    """Copy the files `paths`, and the clips of the folders among them, into the drop zone.

    A folder is laid out as the drop zone is, `<sport>/[<label>/]<file>`, or `[<label>/]<file>` where `sport` is given.
    A sidecar and a row of `labels.csv` beside a clip come along; `label` and `participant` win over them. Yields each
    file with its path in the lake, or with why it was not copied: one that is no footage stops no other.
    """
    for path in paths:
        for clip in _clips(path, sport, label_from_folders) if path.is_dir() else [Clip(path, sport)]:
            yield clip.file, attempted(partial(_add, lake, label=label, participant=participant), clip)


def _add(lake: Lake, clip: Clip, label: str | None, participant: str | None) -> Path:
    if clip.refused:
        raise ValueError(f"{clip.file}: {clip.refused}")
    table = read_imported_table(clip.file.parent)
    sport = clip.sport or table.sport_of(clip.file)
    if sport is None:
        raise ValueError(f"{clip.file}: no sport is named; give --sport, or put it into a folder of its sport")
    given = _said(label, participant, clip.file)
    labels = given.over(Labels.beside(clip.file)).over(table.labels_of(clip.file))
    (path,) = _copied(lake, {clip.file: labels}, sport, clip.folder)
    return path


def _clips(top: Path, sport: str | None, label_from_folders: bool) -> Iterator[Clip]:
    """The files of a folder that may be footage, by their places in it. Links to folders are not followed."""
    for folder, names, files in os.walk(top):
        names[:] = sorted(name for name in names if not name.startswith("."))
        parts = Path(folder).relative_to(top).parts
        own_sport, *labels = (sport, *parts) if sport else (*parts, None)[: len(parts) or 1]
        refused = ""
        if len(labels) > 1:
            refused = f"folders lie too deep here; the layout is {LAYOUT}"
        elif sport and labels and not label_from_folders:
            refused = f"it lies in a folder {labels[0]!r}; give --label-from-folders where that is its label"
        elif not sport and label_from_folders and parts and not labels:
            refused = f"its folder {parts[0]!r} names a label, and nothing a sport; give --sport"
        for name in sorted(files):
            if not name.startswith(".") and not name.lower().endswith(IGNORED_ENDINGS):
                yield Clip(Path(folder) / name, own_sport, labels[0] if labels else None, refused)


def _said(label: str | None, participant: str | None, file: Path) -> Labels:
    given = {key: text for key, text in (("label", label), ("participant", participant)) if text is not None}
    return Labels.checked(given, file.name)


def add_files(
    lake: Lake, files: Sequence[Path], sport: str, label: str | None = None, participant: str | None = None
) -> list[Path]:
    """Copy `files` into `raw/<sport>/`, each whole or not at all, with a sidecar where there is something to say.

    A sidecar beside a given file comes along; `label` and `participant` win over it. Everything is checked before the
    first file is copied. Returns the paths in the lake.

    Raises ValueError (LabelError among them), FileNotFoundError or FileExistsError naming the file and what is wrong.
    """
    labels = {file: _said(label, participant, file).over(Labels.beside(file)) for file in files}
    return _copied(lake, labels, sport, None)


def _copied(lake: Lake, files: dict[Path, Labels], sport: str, folder: str | None) -> list[Path]:
    """Copy `files` into the folder of their sport, or one in it; raises what `add_files` does."""
    own = slug(sport, "")
    if not own:
        raise ValueError(f"{sport!r} cannot name a sport: use Latin letters and digits, for instance 'table-tennis'")
    copies: dict[Path, tuple[Path, Labels]] = {}
    for file, labels in files.items():
        target = drop_zone(lake) / own / (folder or "") / file.name
        _check_copy(file, target, labels, copies)
        _look_at(file, labels)
        copies[target] = (file, labels)
    for target, (file, labels) in copies.items():
        try:
            _place(file, target, labels)
        except FileExistsError:  # somebody adds a file of this name at the same time: it may be the same one
            _place(file, target, labels)
    return list(copies)


def _place(file: Path, target: Path, labels: Labels) -> None:
    """Copy `file` to `target`, with a sidecar, as far as they are not there; raises what `add_files` does."""
    content = json_bytes(labels.model_dump(exclude_defaults=True))
    with file.open("rb") as stream:
        pieces: dict[Path, Callable[[BinaryIO], object]] = (
            {sidecar_of(target): lambda out: out.write(content)} if labels != Labels() else {}
        )
        pieces[target] = lambda out: shutil.copyfileobj(stream, out, 1 << 20)
        # Asked before the check, so that what appears after it is not taken for what was checked.
        missing = [path for path in pieces if not path.exists()]
        _check_copy(file, target, labels, {})
        write_new({path: pieces[path] for path in missing})


def _check_copy(file: Path, target: Path, labels: Labels, copies: dict[Path, tuple[Path, Labels]]) -> None:
    """Raise where `file` cannot become `target`."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not a file")
    if file.name.startswith(".") or file.name.lower().endswith(IGNORED_ENDINGS) or printable(file.name) != file.name:
        raise ValueError(f"{printable(str(file))}: the drop zone takes no file of that name; rename it")
    other = copies[target][0] if target in copies else target
    if other.exists() and sha256_of(other) != sha256_of(file):
        raise FileExistsError(f"{file}: {other} has the same name and other content; rename one of them")
    if labels == Labels():
        return
    if len(os.fsencode(sidecar_of(target).name)) > 255:
        raise ValueError(f"{file}: the name is too long to have a sidecar beside it; shorten it by 5 bytes")
    if sidecar_of(target).exists() and Labels.beside(target) != labels:
        raise FileExistsError(f"{file}: {sidecar_of(target)} says something else already; edit that file instead")


def _look_at(file: Path, labels: Labels) -> None:
    """Raise where `file` would be put into quarantine."""
    try:
        found = probe_footage(file)
    except (UnreadableVideo, UnreadableCapture) as error:
        raise ValueError(f"{file}: {error}") from error
    labels.check_fits(found.duration_s, file.name)
