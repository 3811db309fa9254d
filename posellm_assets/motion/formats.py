"""Motion in files of other programs: one function for everything that is read, and one for everything written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posellm_assets.footage.capture import METADATA_KEY
from posellm_assets.footage.labels import LabelError, Labels
from posellm_assets.motion.arrays import NAME_COLUMNS, TEXT_COLUMNS, motion_from_npy, motions_from_parquet, write_npy
from posellm_assets.motion.bvh import motion_from_bvh
from posellm_assets.motion.bvh_out import RestPose, write_bvh
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES
from posellm_assets.motion.sources import Declaration, UnusableSource, read_declaration
from posellm_assets.parquet import UnreadableParquet, open_parquet

READ_ENDINGS = (".bvh", ".npy", ".parquet")
WRITTEN_ENDINGS = (".bvh", ".npy", *PICTURES)


@dataclass(frozen=True)
class Import:
    """One motion that came in: its name (not yet fit for a path) and what is said about it."""

    name: str
    motion: Motion
    labels: Labels


def motion_files(paths: list[Path]) -> list[Path]:
    """The given files, and the motion files in the given folders, in order of their names.

    Raises FileNotFoundError where a path or a motion in a folder is missing.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(f for f in path.rglob("*") if f.suffix.lower() in READ_ENDINGS) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise FileNotFoundError(f"{path}: there is no motion file ({', '.join(READ_ENDINGS)})")
        found += inside
    return found


def read_motions(path: Path, by_hand: Declaration) -> Iterator[Import]:
    """Every motion of a file: one of a BVH file, an array or our own parquet, any number of a table's.

    Raises ValueError naming the file and what is wrong with it, OSError where it cannot be read.
    """
    try:
        said = read_declaration(path, by_hand)
        labels = said.over(Labels())
        kind = path.suffix.lower()
        if kind == ".bvh":
            motion = motion_from_bvh(path, said)
            yield Import(path.stem, motion, _later(labels, motion))
        elif kind == ".npy":
            motion = motion_from_npy(path, said)
            yield Import(path.stem, motion, _later(labels, motion))
        elif kind == ".parquet" and _is_ours(path):
            _check_only_labels(said)
            yield Import(path.name.removesuffix(".parquet").removesuffix(".motion"), Motion.read(path), labels)
        elif kind == ".parquet":
            for number, (row, motion) in enumerate(motions_from_parquet(path, said), start=1):
                name = next((str(row[column]) for column in NAME_COLUMNS if row.get(column)), f"{path.stem}-{number}")
                yield Import(name, motion, _later(labels.over(_labels(row, f"row {number}")), motion))
        else:
            raise UnusableSource(f"motion comes in as {', '.join(READ_ENDINGS)}; a video goes in with `posellm add`")
    except (UnusableSource, LabelError) as error:
        raise ValueError(f"{path}: {error}") from error


def write_motion(motion: Motion, out: Path, title: str, rest_pose: RestPose = "t-pose") -> None:
    """Write `motion` as `.bvh`, `.npy` (with its declaration beside it), `.mp4` or `.gif`; pictures carry the title.

    Raises ValueError for another ending, or where the format cannot hold the motion.
    """
    if out.suffix == ".bvh":
        write_bvh(motion, out, rest_pose)
    elif out.suffix == ".npy":
        write_npy(motion, out)
    elif out.suffix in PICTURES:
        PICTURES[out.suffix]([motion], out, [title])
    else:
        raise ValueError(f"{out}: a motion is written as {', '.join(WRITTEN_ENDINGS)}")


def _check_only_labels(said: Declaration) -> None:
    """Refuse to declare what our own files say of themselves, rather than ignore it."""
    declared = said.model_dump(exclude_defaults=True, exclude=set(Labels.model_fields))
    if declared:
        raise UnusableSource(
            f"this is a motion file of this project, which says its own {', '.join(declared)}: do not declare that, by "
            "hand or in the file beside it"
        )


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return METADATA_KEY in (open_parquet(stream).metadata.metadata or {})
    except UnreadableParquet as error:
        raise UnusableSource(f"{error}; copy it again") from error


def _labels(row: dict[str, Any], where: str) -> Labels:
    """What a row says. Takes of one recording count as one participant's where nobody is named."""
    captions: list[str] = []
    for column in TEXT_COLUMNS:
        said = row.get(column) or []
        captions += [said] if isinstance(said, str) else [str(text) for text in said]
    found = {
        "label": _text(row.get("label")),
        "captions": list(dict.fromkeys(captions)),
        "participant": _text(row.get("participant")) or _text(row.get("recording")),
        "language": _text(row.get("language")),
    }
    return Labels.checked(found, where)


def _later(labels: Labels, motion: Motion) -> Labels:
    """What is said, with the times of the feedback counted from the first frame that is left of a take."""
    cut_s = motion.parameters["cut_off_s"]
    moved = [one.model_copy(update={"t": one.t - cut_s}) for one in labels.feedback if one.t >= cut_s]
    return labels.model_copy(update={"feedback": moved})


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None
