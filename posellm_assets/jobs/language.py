"""The jobs of the language model's stages."""

from posellm_assets.generations.releases import newest_release
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.language.config import Replay, StageJob
from posellm_assets.language.plan import settled, training_hardware
from posellm_assets.language.replay import new_videos, shortened
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings
from posellm_assets.training import store

_THREADS = 2
"""The same on every machine, or the same seed would give other weights; one training runs at a time, and two threads
take 0.55 of the time of one."""


def stage_job(lake: Lake, settings: Settings, snapshot_key: str, name: str) -> StageJob:
    """The stage `name`, which starts from the one before it; the first from the snapshot's parent or the base."""
    snapshot = read_snapshot(lake, snapshot_key)
    names = [stage.name for stage in settings.language.stages]
    place = names.index(name)
    parent = lake.finished_model(snapshot_key, names[place - 1]) if place else None
    if snapshot.parent and not place:
        parent = newest_release(lake, "language", snapshot.parent).path(lake)
    stage = settings.language.stages[place]
    new = new_videos(snapshot, read_snapshot(lake, snapshot.parent)) if snapshot.parent else []
    replay, generation = None, settings.language.generation
    # Where nothing is new to the parent, all clips are trained on once more.
    if new:
        stage = shortened(stage, generation, len(new), len(snapshot.keys("train")) - len(new))
        replay = Replay(new=new, share=generation.replay, weights=generation.replay_weights)
    model, stage = settled(settings.language.model, stage, training_hardware(settings.cluster))
    codebook = Codebook.of(lake, snapshot.lineage)
    return StageJob(
        train=lake.examples(snapshot_key, "train"),
        val=lake.examples(snapshot_key, "val"),
        out=lake.stage(snapshot_key, name),
        stage=stage,
        replay=replay,
        model=model,
        parent=parent,
        codebook_size=codebook.size,
        codes_per_step=codebook.codes_per_step,
        lineage=snapshot.lineage,
        tokenizer=lake.tokenizer(snapshot.lineage),
        snapshot=snapshot_key,
        hub=store.url_of(settings.hub, lake, name, snapshot_key),
        seed=settings.seed,
        threads=_THREADS,
    )
