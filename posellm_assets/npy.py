"""NumPy arrays from anywhere: nothing is unpickled, and no memory is taken for what a header only promises."""

from pathlib import Path
from tokenize import TokenError

import numpy as np

from posellm_assets.parquet import short


class UnreadableArray(ValueError):
    """No array of numbers, or one cut short; the message has neither path nor remedy."""


def read_npy(path: Path) -> np.ndarray:
    """The array of numbers in a `.npy` file, mapped. Raises UnreadableArray, OSError where it cannot be read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OverflowError, EOFError, TypeError, SyntaxError, RecursionError, TokenError) as error:
        raise UnreadableArray(f"this is not a NumPy array of numbers, or it is cut short ({short(error)})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UnreadableArray("this is not one array of numbers")
    return array
