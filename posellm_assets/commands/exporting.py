"""What leaves the lake: models as folders that others open without this project, motions, data sets.

Torch is loaded only where a motion is made from its tokens.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.files import read_json, write_bytes, write_json
from posellm_assets.generations.releases import required
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.keys import check_snapshot_key, check_video_key
from posellm_assets.lake import CARD, JOB, LOSSES, METRICS, REPORT, RESULT, Lake
from posellm_assets.language.formats.card import model_card, public_name
from posellm_assets.language.formats.export import export_dataset
from posellm_assets.language.origin import Origin
from posellm_assets.motion.bvh_out import RestPose
from posellm_assets.motion.formats import write_motion
from posellm_assets.motion.held_out import HeldOut
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES
from posellm_assets.motion.representation import placed
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.training.store import BETWEEN_COMMITS, hub_api, hub_errors, patiently, refuse_public

MotionOrigin = Literal["motion", "tokens"]


def export_model(lake: Lake, snapshot: str | None, out: Path, adapter: bool) -> None:
    """Write the model of `snapshot` (the released one if None) to the new folder `out`.

    Merged, it opens with `AutoModelForCausalLM.from_pretrained`; with `adapter` it is the LoRA adapter alone, for
    `AutoPeftModelForCausalLM.from_pretrained` on its base. Both hold the text tokenizer, `vocabulary.json`, the motion
    tokenizer and a card. Raises ValueError where there is no such model or adapter, or `out` is there already.
    """
    if out.exists():
        raise ValueError(f"{out} exists already; name a new folder")
    if snapshot is None:
        snapshot = required(lake, "language").name
    if not lake.snapshot(snapshot).exists():
        raise ValueError(f"{lake.root} has no snapshot {snapshot}; `posellm status` lists those it has")
    manifest = read_snapshot(lake, snapshot)
    final = lake.finished_model(snapshot, manifest.last_stage)
    if not final.is_dir():
        raise ValueError(f"{final} is not there: the training of {snapshot} has not finished")
    result = read_json(final.parent / RESULT)
    origin = Origin.read(final)
    base = _base_of_adapter(final) if adapter else origin.base
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".") as name:
        folder = Path(name) / "model"
        if adapter:
            # The tokenizer goes along: PEFT makes room for its added tokens when it opens the folder.
            shutil.copytree(final, folder, ignore=shutil.ignore_patterns("adapter", "config.json", "model*", "gener*"))
            shutil.copytree(final / "adapter", folder, dirs_exist_ok=True)
        else:
            shutil.copytree(final, folder, ignore=shutil.ignore_patterns("adapter"))
        # Where the base lies on this machine is nobody's business.
        origin.model_copy(update={"base": public_name(origin.base)}).write(folder)
        # Its job, and where its report says that checkpoints went, name paths of this machine.
        own = shutil.ignore_patterns(JOB, LOSSES, REPORT)
        tokenizer = shutil.copytree(lake.tokenizer(manifest.lineage), folder / "motion_tokenizer", ignore=own)
        write_json(tokenizer / REPORT, {"held_out": HeldOut.of(lake, manifest.lineage).model_dump(mode="json")})
        report = lake.report(snapshot)
        figures = MeasuredFigures.read(report).figures if (report / METRICS).exists() else {}
        card = model_card(snapshot, base, adapter, result["clips"], manifest.lineage, figures)
        write_bytes(folder / CARD, card.encode())
        os.replace(folder, out)


def check_push(repository: str, public: bool) -> None:
    """Raise StoreError, before anything is written, where there is no token to push with, or the repository is public
    and was not to be."""
    hub_api()
    if not public:
        refuse_public(repository, "push with --public")


def push(folder: Path, repository: str, public: bool = False) -> str:
    """Put all files of `folder` into a model repository on the Hub in one commit, and return its address.

    One that is not there is made, private unless `public`. The token is read from HF_TOKEN. Raises StoreError where
    there is none, the Hub refuses, or the repository is public and was not to be.
    """
    from huggingface_hub import CommitOperationAdd

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    additions = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    with hub_errors(repository):
        api = hub_api()
        url = api.create_repo(repository, private=not public, exist_ok=True)
    check_push(repository, public)

    def commit() -> None:
        with hub_errors(repository, passing=BETWEEN_COMMITS):
            api.create_commit(repository, additions, commit_message="A motion language model of PoseLLM Assets")

    patiently(commit)
    return str(url)


def _base_of_adapter(final: Path) -> str:
    path = final / "adapter" / "adapter_config.json"
    if not path.is_file():
        raise ValueError(f"{final} was trained in full and has no adapter: export it merged")
    base = str(read_json(path)["base_model_name_or_path"])
    if base == "tiny":
        raise ValueError(f"{final}: the adapter's base is the built-in one, which nobody else has: export it merged")
    return base


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


def export_motion(lake: Lake, key: str, out: Path, origin: MotionOrigin, rest_pose: RestPose = "t-pose") -> str:
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
    write_motion(motion, out, key, rest_pose)
    part = f" of {whole / motion.fps:.1f} s (the longest stretch without a gap)" if len(motion) < whole else ""
    return f"{out}: {motion.duration_s:.1f} s{part} of {key}{', from its tokens' if origin == 'tokens' else ''}"


def _from_tokens(lake: Lake, key: str, motion: Motion) -> tuple[Motion, Motion]:
    """The longest stretch that has tokens, standing over the origin, and what the tokens say of it."""
    lineage = lineage_in_use(lake)
    if lineage is None or not lake.motion_tokens(lineage, key).exists():
        raise FileNotFoundError(f"{key} has no tokens of the tokenizer in use; materialize motion_tokens for it first")
    longest = MotionTokens.read(lake.motion_tokens(lineage, key)).longest
    from posellm_assets.motion.tokenizer import MotionTokenizer

    made = MotionTokenizer.load(lake.tokenizer(lineage)).decode(longest.codes)
    start = round((longest.start_s - motion.start_s) * motion.fps)
    return placed(motion.cut(start, start + len(made))), made
