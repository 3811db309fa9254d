"""Motion files into the drop zone, and motions of the lake out of it. `--from tokens` loads torch."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from posellm_assets.files import sha256_of, write_json
from posellm_assets.footage.capture import SUFFIX
from posellm_assets.footage.labels import Labels, sidecar_of
from posellm_assets.footage.register import add_files
from posellm_assets.footage.scan import drop_zone
from posellm_assets.keys import check_video_key, slug
from posellm_assets.lake import Lake
from posellm_assets.motion.exporting import write_motion
from posellm_assets.motion.importing import Import, motion_files, read_motions
from posellm_assets.motion.lineage import current_lineage
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES
from posellm_assets.motion.representation import placed
from posellm_assets.motion.sources import Declaration
from posellm_assets.motion.tokens import MotionTokens

Origin = Literal["motion", "tokens"]


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


def export_motion(lake: Lake, key: str, out: Path, origin: Origin) -> str:
    """Write the motion of a clip, or what its tokens say, to `out`, and say in a sentence what was written.

    BVH, which knows no gaps, gets the longest stretch without one; so does all that comes from tokens. A picture of
    tokens shows them beside the motion that they were made from. Raises FileNotFoundError or ValueError where the clip
    has no motion or no tokens, or `out` has another ending.
    """
    check_video_key(key)
    if not lake.motion(key).exists():
        raise FileNotFoundError(
            f"{key} has no motion in {lake.root}; `posellm status` says which clips do, and why not"
        )
    motion = Motion.read(lake.motion(key))
    if origin == "tokens":
        original, motion = _from_tokens(lake, key, motion)
        if out.suffix in PICTURES:
            PICTURES[out.suffix]([original, motion], out, [f"{key}: motion", "from its tokens"])
            return f"{out}: {motion.duration_s:.1f} s of {key}, and beside it what its tokens say"
    whole = len(motion)
    if out.suffix == ".bvh":
        motion = max(motion.segments(0.0), key=len)
    write_motion(motion, out, key)
    part = f" of {whole / motion.fps:.1f} s (the longest stretch without a gap)" if len(motion) < whole else ""
    return f"{out}: {motion.duration_s:.1f} s{part} of {key}{', from its tokens' if origin == 'tokens' else ''}"


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
    return f"{motion.duration_s:.1f} s, {len(motion.skeleton)} joints{judged}"


def _from_tokens(lake: Lake, key: str, motion: Motion) -> tuple[Motion, Motion]:
    """The longest stretch that has tokens, standing over the origin, and what the tokens say of it."""
    lineage = current_lineage(lake)
    if lineage is None or not lake.motion_tokens(lineage, key).exists():
        raise FileNotFoundError(f"{key} has no tokens of the tokenizer in use; materialize motion_tokens for it first")
    longest = MotionTokens.read(lake.motion_tokens(lineage, key)).longest
    from posellm_assets.motion.tokenizer import MotionTokenizer

    made = MotionTokenizer.load(lake.tokenizer(lineage)).decode(longest.codes)
    start = round((longest.start_s - motion.start_s) * motion.fps)
    return placed(motion.cut(start, start + len(made))), made
