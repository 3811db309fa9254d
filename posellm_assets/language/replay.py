"""What a generation that continues from another one is trained on: its new clips, and old ones replayed beside them.

A model that is trained on new clips alone forgets the old ones; some of these among the new ones prevent that
(experience replay, Rolnick et al. 2019). The old clips are drawn afresh in every epoch, so that all of them come back
in time, and sports share the replay whatever their size, so that a small one is not forgotten.
"""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.keys import sport_of
from posellm_assets.language.clips import TrainingClip
from posellm_assets.language.config import GenerationConfig, Replay, StageConfig


class ClipSource:
    """The clips of a job, as an epoch draws them."""

    def __init__(self, clips: Sequence[TrainingClip], replay: Replay | None):
        new = {clip.key for clip in clips} if replay is None else set(replay.new)
        self.new = [clip for clip in clips if clip.key in new]
        self.old: dict[str, list[TrainingClip]] = defaultdict(list)
        for clip in clips:
            if clip.key not in new:
                self.old[sport_of(clip.key)].append(clip)
        known = {sport: len(of_sport) for sport, of_sport in sorted(self.old.items())}
        wanted = replayed(len(self.new), sum(known.values()), replay.share) if replay else 0
        self.per_epoch = quotas(known, replay.weights if replay else {}, wanted)
        """How many old clips of each sport an epoch draws."""

    def draw(self, generator: random.Random) -> list[TrainingClip]:
        """The clips of one epoch: all that are new, and of each sport so many old ones."""
        return [
            *self.new,
            *(clip for sport, n in self.per_epoch.items() for clip in generator.sample(self.old[sport], n)),
        ]


def new_videos(snapshot: Snapshot, parent: Snapshot) -> list[str]:
    """The train videos of `snapshot` that `parent` did not train on, or not as they are now."""
    known = {
        (video.key, video.captions_sha256, video.tokens_sha256) for video in parent.videos if video.split == "train"
    }
    return [
        video.key
        for video in snapshot.videos
        if video.split == "train" and (video.key, video.captions_sha256, video.tokens_sha256) not in known
    ]


def replayed(new: int, old: int, share: float) -> int:
    """How many of `old` clips make up `share` of an epoch beside `new` ones, or all of them where that is fewer."""
    return min(old, round(new * share / (1 - share)))


def quotas(known: Mapping[str, int], weights: Mapping[str, float], wanted: int) -> dict[str, int]:
    """`wanted` clips spread over the sports by weight, from none more than it has.

    What a sport cannot give falls to the others. A sport of weight 0 gives nothing.
    """
    left = {sport: float(weights.get(sport, 1.0)) for sport in known if weights.get(sport, 1.0) > 0 and known[sport]}
    taken = dict.fromkeys(known, 0)
    while left and wanted > sum(taken.values()):
        missing = wanted - sum(taken.values())
        total = sum(left.values())
        full = [sport for sport in left if taken[sport] + missing * left[sport] / total >= known[sport]]
        for sport in full:
            taken[sport] = known[sport]
            del left[sport]
        if not full:
            parts = {sport: missing * weight / total for sport, weight in left.items()}
            for sport, part in parts.items():
                taken[sport] += math.floor(part)
            # The largest remainders take what rounding down has left over.
            rest = sorted(left, key=lambda sport: (math.floor(parts[sport]) - parts[sport], sport))
            for sport in rest[: wanted - sum(taken.values())]:
                taken[sport] += 1
            break
    return taken


def shortened(stage: StageConfig, generation: GenerationConfig, new: int, old: int) -> StageConfig:
    """`stage` as a generation with `new` clips and `old` ones that its parent knows needs it.

    The stage's steps take a model from the base over `new + old` clips so many times; these take it over the new clips
    `stage.passes` times as often, replay included. What a generation costs follows what is new in it.
    """
    epoch = new + replayed(new, old, generation.replay)
    steps = math.ceil(stage.steps * stage.passes * epoch / (new + old))
    return stage.model_copy(update={"steps": steps, "learning_rate": stage.learning_rate * generation.learning_rate})
