"""Tokenising as work for the pool. Free of torch itself, so that whoever hands out the work need not load it."""

from typing import Any

from posellm_assets.motion.config import TokeniseJob


def tokenise_batch(job: TokeniseJob) -> dict[str, Any]:
    """Do `job` in this process and return its summary; torch is loaded here and now."""
    from posellm_assets.motion.tokenise import tokenise

    return tokenise(job, lambda message: print(message, flush=True))
