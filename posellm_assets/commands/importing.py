"""What comes into the lake that is no footage: motion, landmarks, and data sets of other motion language models."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from posellm_assets.files import sha256_of, write_json
from posellm_assets.footage.adding import add_files
from posellm_assets.footage.capture import LANDMARKS_SUFFIX, SUFFIX
from posellm_assets.footage.labels import TABLE, ImportedTable, Labels, read_imported_table, sidecar_of
from posellm_assets.footage.scan import drop_zone
from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.language.formats.adopt import adopt
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.motion.formats import motion_files, read_motions
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.sources import Declaration
from posellm_assets.poses import imports as landmarks
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import choose_subject
from posellm_assets.settings import Settings


class Imported(NamedTuple):
    """What an import placed in the drop zone, each file with what it holds in words, and the columns of the tables
    beside the files that nothing here has a use for."""

    placed: list[tuple[Path, str]]
    unused: list[str]


def import_motion(lake: Lake, paths: list[Path], sport: str | None, said: Declaration) -> Imported:
    """Make motion files of `paths` and place them in the drop zone, with a sidecar of what is said about them.

    What is `said` by hand wins over what a file or its sidecar says, and that over a table beside it. `sport` is that
    of all files, else the table's. Everything is read before the first file is placed. Raises ValueError or OSError
    naming the file and what is wrong with it.
    """
    with TemporaryDirectory() as name:
        making = _Making(lake, Path(name), sport)
        for path in motion_files(paths):
            for found in read_motions(path, said):
                making.add(path, found.motion, found.name, SUFFIX, found.labels, _in_words(found.motion))
        return making.placed()


def import_poses(lake: Lake, paths: list[Path], sport: str | None, said: landmarks.LandmarksDeclaration) -> Imported:
    """The same of landmarks."""
    with TemporaryDirectory() as name:
        making = _Making(lake, Path(name), sport)
        for path in landmarks.landmark_files(paths):
            found = landmarks.read_landmarks(path, said)
            making.add(path, found.poses, found.name, LANDMARKS_SUFFIX, found.labels, _seen_in_words(found.poses))
        return making.placed()


def import_examples(
    dataset: Path, codes: int, layers: int, out: Path, settings: Settings
) -> tuple[dict[str, int], list[Path]]:
    """Make motion-LLM JSON ready to train on, with the stages and the model of the settings; see `adopt`."""
    model, hardware = settings.language.model, find_hardware()
    planned = [settled(model, stage, hardware) for stage in settings.language.stages]
    return adopt(dataset, codes, out, tuple(stage for _, stage in planned), planned[0][0], settings.seed, layers)


class _Making:
    """Files for the drop zone of `lake`, made in `folder`; `sport` is that of all, else that of the tables."""

    def __init__(self, lake: Lake, folder: Path, sport: str | None):
        self.lake, self.folder, self.sport = lake, folder, sport
        self.made: dict[str, dict[Path, str]] = {}
        """By sport, each file with what it holds in words."""
        self.tables: dict[Path, ImportedTable] = {}
        """By the folder that each lies in."""

    def add(self, source: Path, content: Motion | Poses, name: str, ending: str, labels: Labels, words: str) -> None:
        """Write a file, named after its content too where another of its sport has the name."""
        if source.parent not in self.tables:
            self.tables[source.parent] = read_imported_table(source.parent)
        table = self.tables[source.parent]
        sport, labels = self.sport or table.sport_of(source), labels.over(table.labels_of(source))
        if sport is None:
            raise ValueError(f"{source}: no sport is named; give --sport, or a column sport in the {TABLE} beside it")
        folder, placed = self.folder / slug(sport), drop_zone(self.lake) / slug(sport)
        new = folder / "new"
        content.write(new)
        sha256, stem = sha256_of(new), slug(name)
        for target in (folder / f"{stem}{ending}", folder / f"{stem}-{sha256[:8]}{ending}"):
            others = [path for path in (target, placed / target.name) if path.exists() and sha256_of(path) != sha256]
            if not others:
                break
        new.rename(target)
        if labels != Labels():
            write_json(sidecar_of(target), labels.model_dump(exclude_defaults=True))
        self.made.setdefault(sport, {})[target] = words

    def placed(self) -> Imported:
        """Copy all to the drop zone."""
        found: list[tuple[Path, str]] = []
        for sport, made in self.made.items():
            found += zip(add_files(self.lake, list(made), sport), made.values(), strict=True)
        return Imported(found, sorted({column for table in self.tables.values() for column in table.unused}))


def _in_words(motion: Motion) -> str:
    judged = "".join(f"; {key} {motion.parameters[key]}" for key in ("unit", "up") if key in motion.parameters)
    lost = motion.parameters.get("lost_frames", "")
    return f"{motion.duration_s:.1f} s, {len(motion.skeleton)} joints{judged}{'; ' + lost if lost else ''}"


def _seen_in_words(poses: Poses) -> str:
    seen = (choose_subject(poses).person >= 0).mean()
    made_up = poses.parameters.get("made_up")
    people = poses.seen.sum(axis=1).max()
    return (
        f"{poses.time_s[-1]:.1f} s, {len(poses.time_s)} frames, {people} {'person' if people == 1 else 'people'}, the "
        f"subject in {seen:.0%}{'; made up: ' + ' and '.join(made_up) if made_up else ''}"
    )
