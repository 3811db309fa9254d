"""A folder to work in: Dagster's settings and those of a lake, and the UI over them."""

import os
import sys
from importlib.resources import files
from pathlib import Path

from posellm_assets.settings import SETTINGS_FILE

HOME, HOME_VARIABLE = ".dagster", "DAGSTER_HOME"
"""Where Dagster's records are kept unless the variable says otherwise: in the folder that is worked in."""


def start_folder(folder: Path) -> list[Path]:
    """Write what is missing in `folder` to work in it; returns what was written. What is there stays as it is."""
    home = Path(os.environ.get(HOME_VARIABLE) or folder / HOME)
    starter, written = files("posellm_assets.commands") / "starter", list[Path]()
    for target in (home / "dagster.yaml", folder / SETTINGS_FILE):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((starter / target.name).read_bytes())
            written.append(target)
    return written


def find_home() -> Path:
    """Where Dagster keeps its records, for this process and those that it starts.

    Raises ValueError where nobody has said.
    """
    if not os.environ.get(HOME_VARIABLE):
        if not (home := Path(HOME).absolute()).is_dir():
            raise ValueError(
                f"there is no {HOME} in this folder and {HOME_VARIABLE} is not set, so nothing would be kept: go to "
                "the folder that you work in, or make this one it with `posellm init`"
            )
        os.environ[HOME_VARIABLE] = str(home)
    return Path(os.environ[HOME_VARIABLE])


def has_home() -> bool:
    """Whether somebody has said where Dagster keeps its records; if so this process knows it too."""
    try:
        find_home()
    except ValueError:
        return False
    return True


def serve_ui(host: str, port: int) -> None:
    """Take the place of this process by the Dagster UI with its daemon. Raises what `find_home` raises."""
    find_home()
    ui = ["-m", "posellm_assets.defs.ui", "-m", "posellm_assets.definitions", "--host", host, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, *ui])
