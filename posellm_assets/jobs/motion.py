"""The job of the tokenizer."""

from pathlib import Path

from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.inventory import taken_out
from posellm_assets.lake import Lake
from posellm_assets.motion.config import TokenizerJob
from posellm_assets.settings import Settings
from posellm_assets.training import store


def tokenizer_job(lake: Lake, settings: Settings) -> TokenizerJob:
    """A tokenizer for the motion of the lake, trained (unless it is shipped) on that of the train participants.

    Footage that was taken out is left out. Raises OSError where the drop zone cannot be listed.
    """
    train: list[Path] = []
    held_out: list[Path] = []
    captioned = lake.captioned_videos()
    left_out = taken_out(lake, captioned)
    for key in (key for key in captioned if key not in left_out):
        (train if read_manifest(lake, key).split == "train" else held_out).append(lake.motion(key))
    out = lake.tokenizer_in_training
    return TokenizerJob(
        train=train,
        held_out=held_out,
        out=out,
        hub=store.url_of(settings.hub, lake, "motion_tokenizer", out.name),
        config=settings.tokenizer,
        seed=settings.seed,
    )
