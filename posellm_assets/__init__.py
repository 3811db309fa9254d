"""PoseLLM Assets: raw sports footage in, a motion language model out."""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posellm_assets.notebook import OpenLake

__version__ = "0.1.0"


def open_lake(root: str | PathLike[str] = "data_lake") -> "OpenLake":
    """The lake in the folder `root`, for a notebook or a script; raises FileNotFoundError where there is none."""
    from posellm_assets.notebook import OpenLake

    return OpenLake(root)
