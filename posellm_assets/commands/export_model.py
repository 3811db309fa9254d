"""A trained model as a folder that others open without this project, and its way to the Hugging Face Hub."""

import os
import shutil
import tempfile
from pathlib import Path

from posellm_assets.files import read_json, write_bytes
from posellm_assets.generations.champion import read_champion
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.language.formats.card import UNKNOWN, model_card, public_name
from posellm_assets.language.origin import Origin
from posellm_assets.training.store import hub_api, hub_errors


def export_model(lake: Lake, snapshot: str | None, out: Path, adapter: bool) -> None:
    """Write the model of `snapshot` (the released one if None) to the new folder `out`.

    Merged, it opens with `AutoModelForCausalLM.from_pretrained`; with `adapter` it is the LoRA adapter alone, for
    `AutoPeftModelForCausalLM.from_pretrained` on its base. Both hold the text tokenizer, `vocabulary.json`, the motion
    tokenizer and a card. Raises ValueError where there is no such model or adapter, or `out` is there already.
    """
    if out.exists():
        raise ValueError(f"{out} exists already; name a new folder")
    if snapshot is None:
        champion = read_champion(lake)
        if champion is None:
            raise ValueError(f"{lake.root} has no released model yet; train a generation, or name a snapshot")
        snapshot = champion.snapshot
    if not lake.snapshot(snapshot).exists():
        raise ValueError(f"{lake.root} has no snapshot {snapshot}; `posellm status` lists those it has")
    manifest = read_snapshot(lake, snapshot)
    final = lake.finished_model(snapshot, manifest.last_stage)
    if not final.is_dir():
        raise ValueError(f"{final} is not there: the training of {snapshot} has not finished")
    result = read_json(final.parent / "result.json")
    origin = Origin.read(final)
    base = _base_of_adapter(final) if adapter else origin.base or UNKNOWN
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
        origin.model_copy(update={"base": origin.base and public_name(origin.base)}).write(folder)
        # Its job names paths of this machine.
        own = shutil.ignore_patterns("job.json", "losses.jsonl", "checkpoint*")
        shutil.copytree(lake.tokenizer(manifest.lineage), folder / "motion_tokenizer", ignore=own)
        report = lake.report(snapshot) / "metrics.json"
        figures = read_json(report)["figures"] if report.exists() else {}
        card = model_card(snapshot, base, adapter, result["clips"], manifest.lineage, figures)
        write_bytes(folder / "README.md", card.encode())
        os.replace(folder, out)


def check_token() -> None:
    """Raise StoreError where there is no token to push with, before anything is written."""
    hub_api()


def push(folder: Path, repository: str, private: bool = True) -> str:
    """Put all files of `folder` into a model repository on the Hub in one commit, and return its address.

    The token is read from HF_TOKEN. Raises StoreError where there is none or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    additions = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    with hub_errors(repository):
        api = hub_api()
        url = api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(repository, additions, commit_message="A motion language model of PoseLLM Assets")
    return str(url)


def _base_of_adapter(final: Path) -> str:
    path = final / "adapter" / "adapter_config.json"
    if not path.is_file():
        raise ValueError(f"{final} was trained in full and has no adapter: export it merged")
    base = str(read_json(path)["base_model_name_or_path"])
    if base == "tiny":
        raise ValueError(f"{final}: the adapter's base is the built-in one, which nobody else has: export it merged")
    return base
