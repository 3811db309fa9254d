"""Models as they were loaded, so that what is asked twice of one is loaded once. Loads torch."""

from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeVar

from posellm_assets.checksums import check_model
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.tokenizer import MotionTokenizer

Model = TypeVar("Model")
_KEPT = 2  # of each kind: one that another took the place of is forgotten in time


def language_model(folder: Path, text_encoder: str | None) -> MotionLM:
    """`MotionLM.load` of a folder that is what it was when it was written; raises what `check_model` raises."""
    return _kept(MotionLM.load)(folder, _stamp(folder), text_encoder)


def motion_tokenizer(folder: Path) -> MotionTokenizer:
    """`MotionTokenizer.load`, as `language_model` does it."""
    return _kept(MotionTokenizer.load)(folder, _stamp(folder))


def evaluator(folder: Path) -> Evaluator:
    """`Evaluator.load`, as `language_model` does it."""
    return _kept(Evaluator.load)(folder, _stamp(folder))


@cache
def _kept(load: Callable[..., Model]) -> Callable[..., Model]:
    return lru_cache(_KEPT)(lambda folder, _stamp, *options: load(check_model(folder), *options))


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells a folder from what it is once a file of it was changed."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)
