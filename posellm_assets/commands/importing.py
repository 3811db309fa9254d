"""What comes into the lake that is no footage: motion files, and data sets of other motion language models."""

from pathlib import Path
from tempfile import TemporaryDirectory

from posellm_assets.files import sha256_of, write_json
from posellm_assets.footage.capture import SUFFIX
from posellm_assets.footage.labels import Labels, sidecar_of
from posellm_assets.footage.register import add_files
from posellm_assets.footage.scan import drop_zone
from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.language.formats.adopt import adopt
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.motion.formats import Import, motion_files, read_motions
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.sources import Declaration
from posellm_assets.settings import Settings


def import_motion(lake: Lake, paths: list[Path], sport: str, said: Declaration) -> list[tuple[Path, str]]:
    """Make motion files of `paths` and place them in the drop zone, with a sidecar of what is said about them.

    What is `said` by hand wins over what a file says. Everything is read before the first file is placed. Returns
    the paths in the lake, each with what it holds in words. Raises ValueError or OSError naming the file and what is
    wrong with it.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        made: dict[Path, str] = {}
        for path in motion_files(paths):
            for found in read_motions(path, said):
                target = _written(found, folder, drop_zone(lake) / slug(sport))
                if found.labels != Labels():
                    write_json(sidecar_of(target), found.labels.model_dump(exclude_defaults=True))
                made[target] = _in_words(found.motion)
        placed_at = add_files(lake, list(made), sport)
    return list(zip(placed_at, made.values(), strict=True))


def import_examples(
    dataset: Path, codes: int, layers: int, out: Path, settings: Settings
) -> tuple[dict[str, int], list[Path]]:
    """Make motion-LLM JSON ready to train on, with the stages and the model of the settings; see `adopt`."""
    model, hardware = settings.language.model, find_hardware()
    planned = [settled(model, stage, hardware) for stage in settings.language.stages]
    return adopt(dataset, codes, out, tuple(stage for _, stage in planned), planned[0][0], settings.seed, layers)


def _written(found: Import, folder: Path, placed: Path) -> Path:
    """The motion as a file of `folder`; named after its content too where another take has its name."""
    new = folder / "new"
    found.motion.write(new)
    sha256, stem = sha256_of(new), slug(found.name)
    for target in (folder / f"{stem}{SUFFIX}", folder / f"{stem}-{sha256[:8]}{SUFFIX}"):
        others = [path for path in (target, placed / target.name) if path.exists() and sha256_of(path) != sha256]
        if not others:
            break
    return new.rename(target)


def _in_words(motion: Motion) -> str:
    judged = "".join(f"; {key} {motion.parameters[key]}" for key in ("unit", "up") if key in motion.parameters)
    lost = motion.parameters.get("lost_frames", "")
    return f"{motion.duration_s:.1f} s, {len(motion.skeleton)} joints{judged}{'; ' + lost if lost else ''}"
