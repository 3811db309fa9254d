"""What this machine has and lacks, in plain words, and what to do about it."""

import importlib.util
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from posellm_assets.commands.pruning import bytes_of, spent_checkpoints
from posellm_assets.commands.starting import find_home
from posellm_assets.lake import Lake
from posellm_assets.language.plan import Hardware, NoPlan, find_hardware, plan
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.models import available_models
from posellm_assets.settings import load_settings, settings_path
from posellm_assets.texts.glossary import check_glossary, files_of
from posellm_assets.training import store
from posellm_assets.yaml_files import read_yaml

FREE_GIB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `needed` says whether nothing works without it."""

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str = ""


def examine(lake: Lake) -> Iterator[Finding]:
    """Look at Python, models, the accelerator, training, the Hub, settings, the lake, its disk and Dagster."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "Python",
        (3, 10) <= sys.version_info[:2] <= (3, 13),
        True,
        version,
        "use Python 3.10 to 3.13, where wheels exist",
    )
    yield _pose_model()
    hardware = find_hardware()
    yield _accelerator(hardware)
    unsloth = importlib.util.find_spec("unsloth") is not None
    yield Finding("Unsloth", unsloth, False, "installed" if unsloth else "not installed", "pip install '.[unsloth]'")
    token = bool(os.environ.get("HF_TOKEN"))
    yield Finding(
        "Hugging Face token",
        token,
        False,
        "HF_TOKEN is set" if token else "HF_TOKEN is not set",
        "needed for gated base models and for checkpoints on the Hub: export HF_TOKEN=...",
    )
    yield _settings(lake)
    yield from _glossaries(lake)
    yield from _checkpoints(lake)
    yield from _base(lake)
    yield from _plan(lake, hardware)
    yield from _lake(lake)
    try:
        home = find_home()
    except ValueError as error:
        yield Finding("Dagster home", False, False, str(error), "posellm init")
    else:
        yield Finding("Dagster home", home.is_dir(), False, str(home), "posellm init")
        yield from _instance(home)
        yield from _databases(home)


def _pose_model() -> Finding:
    default = PoseConfig().network
    model = next(model for model in available_models() if model.name == default)
    found = str(model.path) if model.present else "not fetched yet"
    return Finding("pose model", model.present, True, found, "posellm models --fetch")


def _accelerator(hardware: Hardware) -> Finding:
    memory = f"{hardware.gpu_bytes / 2**30:.0f} GiB" if hardware.gpu_bytes else "memory not told by nvidia-smi"
    found = f"{hardware.gpu}, {memory}" if hardware.gpu else "no NVIDIA GPU"
    remedy = "the tiny model trains on a CPU; a base model of a billion parameters wants a GPU of 16 GB or more"
    return Finding("GPU", bool(hardware.gpu), False, found, remedy)


def _base(lake: Lake) -> Iterator[Finding]:
    """What training starts from; a folder is looked at, a Hugging Face id is not asked for."""
    try:
        model = load_settings(lake).language.model
    except ValueError:
        return  # said by the finding about the settings
    if model.base == "tiny":
        yield Finding("base model", False, False, "tiny, which knows no language before it is trained", _PRETRAINED)
        return
    if model.base == "auto" or (_HUB_ID.fullmatch(model.base) and not Path(model.base).exists()):
        found = "chosen for this machine" if model.base == "auto" else f"{model.base}, of the Hugging Face hub"
        yield Finding("base model", True, False, found)
        return
    from posellm_assets.language.bases import UnsupportedModel, read_base_config, read_text_tokenizer

    try:
        read_text_tokenizer(model.base, read_base_config(model.base, model.method))
    except UnsupportedModel as error:
        yield Finding("base model", False, True, str(error), "put right language.model.base: training would not begin")
        return
    yield Finding("base model", True, False, f"the folder {model.base}")


_HUB_ID = re.compile(r"([\w-]+/)?[\w.-]+(?<!\.gguf)")
_PRETRAINED = (
    "for a pretrained one set language.model.base to a Hugging Face id, or without a hub to a folder with config.json, "
    "the tokenizer and *.safetensors (of a GGUF file: posellm import base FILE --out FOLDER)"
)


def _plan(lake: Lake, hardware: Hardware) -> Iterator[Finding]:
    """How the settings, and what they leave open, would train on this machine: the stage with the longest rows."""
    try:
        language = load_settings(lake).language
    except ValueError:
        return  # said by the finding about the settings
    try:
        chosen = plan(hardware, language.model, max(language.stages, key=lambda stage: stage.row_tokens))
    except NoPlan as error:
        remedy = "set language.model.base to one that fits, or to 'auto'"
        yield Finding("training plan", False, False, str(error), remedy)
        return
    found = (
        f"{chosen.base}, {chosen.method}, {chosen.precision}, {chosen.rows_per_batch} rows in a batch "
        f"x {chosen.batches_per_step} ({chosen.reason})"
    )
    yield Finding("training plan", True, False, found)


def _checkpoints(lake: Lake) -> Iterator[Finding]:
    """Where checkpoints go, and whether the token is taken there; the token itself is not shown."""
    try:
        template = load_settings(lake).hub
    except ValueError:
        return  # said by the finding about the settings
    try:
        where = store.url_of(template, lake, "stage1", "all-0001")
        if isinstance(there := store.open_store(where), store.HubFolder):
            with store.hub_errors(where):
                said = f" (the token of {store.hub_api().whoami()['name']} works)"
            there.refuse_public()
            where += said
    except (ValueError, store.StoreError) as error:
        yield Finding("checkpoints", False, True, str(error), "put right `hub` or HF_TOKEN: training would not begin")
        return
    yield Finding("checkpoints", True, True, f"stage1 of all-0001: {where}")


def _settings(lake: Lake) -> Finding:
    path = settings_path(lake)
    try:
        load_settings(lake)
    except ValueError as error:
        return Finding("settings", False, True, str(error), "correct the setting that is named")
    return Finding("settings", True, True, str(path) if path.exists() else "defaults (there is no posellm.yaml)")


def _glossaries(lake: Lake) -> Iterator[Finding]:
    """The user's glossaries that cannot be used: their sports get no captions."""
    for path in files_of(lake):
        try:
            check_glossary(path)
        except ValueError as error:
            yield Finding("glossary", False, False, str(error), "correct it: until then its sport gets no captions")


def _instance(home: Path) -> Iterator[Finding]:
    """Whether Dagster is told to start again what died: an older file is kept as it is when this project is updated."""
    path, remedy = (
        home / "dagster.yaml",
        "rename it, run `posellm init`, take over what you had changed, and start Dagster again",
    )
    if not path.is_file():
        return
    try:
        said = read_yaml(path.read_bytes(), str(path)).content
    except ValueError as error:
        yield Finding("Dagster settings", False, True, str(error), "correct it, or put back a copy")
        return
    wanted = {name: said.get(name) if isinstance(said, dict) else None for name in ("run_monitoring", "run_retries")}
    off = [name for name, one in wanted.items() if not (isinstance(one, dict) and one.get("enabled"))]
    lost = f": of runs whose process died some stay as they are, without {' and '.join(off)}" if off else ""
    yield Finding("Dagster settings", not off, False, f"{path}{lost}", remedy)


def _databases(home: Path) -> Iterator[Finding]:
    """Dagster's databases that are damaged, each by name."""
    for path in sorted(home.rglob("*.db")):
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            found = str(error)
        if found != "ok":
            remedy = "stop Dagster and put back a copy, or `sqlite3 FILE .recover | sqlite3 NEW`: it holds history"
            yield Finding("Dagster database", False, True, f"{path} is damaged: {found}", remedy)


def _lake(lake: Lake) -> Iterator[Finding]:
    root = lake.root.absolute()
    existing = next(folder for folder in [root, *root.parents] if folder.exists())
    writable = os.access(existing, os.W_OK)
    yield Finding("lake", writable, True, str(root), f"make {existing} writable, or set POSELLM_LAKE")
    free_gib = shutil.disk_usage(existing).free / 2**30
    used, spent = bytes_of(root), sum(map(bytes_of, spent_checkpoints(lake)))
    said = f"{free_gib:.0f} GiB free; the lake takes {used / 1e6:,.0f} MB"
    said += f", {spent / 1e6:,.0f} of them checkpoints that nothing rests on (`posellm prune`)" if spent else ""
    yield Finding("disk", free_gib > FREE_GIB, True, said, f"free at least {FREE_GIB} GiB")
