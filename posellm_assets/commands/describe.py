"""From a video file to sentences about what moves in it, without storing anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posellm_assets.files import read_record
from posellm_assets.generations.releases import Release, in_use
from posellm_assets.lake import Lake
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.pool import Pool
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.poses import Poses, SubjectPoses
from posellm_assets.poses.quality import Quality
from posellm_assets.poses.subjects import subject_of
from posellm_assets.settings import Settings
from posellm_assets.texts.config import Language
from posellm_assets.texts.describe import describe_stretches
from posellm_assets.texts.facts import measure_stretches
from posellm_assets.texts.wording import words

_NAMED = 3  # movements whose likelihood is told, at most
_LEAST = 0.01


@dataclass(frozen=True, eq=False)
class Watched:
    """What was seen of the athlete of a video: poses, motion, and the verdicts on the poses."""

    subject: SubjectPoses
    motion: Motion
    quality: Quality


def look_at(video: Path, settings: Settings, pool: Pool | None = None) -> Watched:
    """Find the athlete of a video, or file of landmarks.

    Raises ValueError where it cannot be read or shows nobody well enough to say anything.
    """
    poses, quality = poses_of(video, settings.poses, pool)
    subject = subject_of(poses)
    return Watched(subject, motion_from_poses(subject, settings.motion), quality)


def look_at_clip(lake: Lake, key: str) -> Watched:
    """What was found of a clip of the lake; raises FileNotFoundError where its poses or its motion are not there."""
    quality = read_record(lake.pose_quality(key), Quality, f"materialize poses for {key} again")
    return Watched(subject_of(Poses.read(lake.poses(key))), Motion.read(lake.motion(key)), quality)


def describe_video(lake: Lake, video: Path, settings: Settings, language: Language) -> dict[str, Any]:
    """What moves in `video`, as `describe_look` says it. Raises what `look_at` raises."""
    return {"video": str(video), **describe_look(lake, look_at(video, settings), settings, language)}


def describe_look(lake: Lake, look: Watched, settings: Settings, language: Language) -> dict[str, Any]:
    """What moves in a video that was looked at.

    `said` is what the language model in use says of it, None where there is none, and `unsaid` why; `sentences` begin
    with that, in `language`, and go on with those measured `facts` that are sure; `checks` are the verdicts on its
    poses.
    """
    stretches = measure_stretches(look.motion)
    release, said, unsaid = in_use(lake, "language"), None, None
    if release is None:
        unsaid = words(language)["model"]["none"]
    else:
        try:
            said = _said(lake, release, look.motion, settings)
        except (ValueError, OSError) as error:
            unsaid = words(language)["model"]["unasked"].format(model=release.name, why=error)
    return {
        "said": said,
        "unsaid": unsaid,
        "sentences": [*(_in_words(said, language) if said else [unsaid]), *describe_stretches(stretches, language)],
        "facts": [fact.model_dump(mode="json") for _, facts in stretches for fact in facts],
        "checks": [check.model_dump(mode="json") for check in look.quality.checks],
    }


def _said(lake: Lake, release: Release, motion: Motion, settings: Settings) -> dict[str, Any]:
    """What a released model says of the longest stretch of a motion."""
    from posellm_assets.commands.loaded import language_model, motion_tokenizer
    from posellm_assets.language.naming import say

    tokenizer = motion_tokenizer(lake.tokenizer(release.lineage))
    tokenizer.check(motion)
    stretch = max(motion.segments(tokenizer.frames_per_step / tokenizer.fps), key=len, default=None)
    if stretch is None:
        raise ValueError("nobody is in view for long enough")
    said = say(language_model(release.path(lake), settings.language.text_encoder), tokenizer.encode(stretch))
    return {
        "model": release.name,
        **said.model_dump(),
        "familiar": said.is_familiar,
        "start_s": round(stretch.start_s, 3),
        "end_s": round(stretch.start_s + stretch.duration_s, 3),
    }


def _in_words(said: dict[str, Any], language: Language) -> list[str]:
    patterns = words(language)["model"]
    span = {name: f"{said[name]:.1f}" for name in ("start_s", "end_s")}
    text = " ".join(said["text"].split())  # one line, whatever the model wrote
    sentences = [patterns["says" if said["familiar"] else "unlike"].format(model=said["model"], text=text, **span)]
    if likelihoods := said["likelihoods"]:
        first, *others = list(likelihoods.items())[:_NAMED]
        told = [first, *((name, share) for name, share in others if share >= _LEAST)]
        likeliest = [f"{name} {share:.0%}" for name, share in told]
        sentences.append(patterns["sure"].format(n=len(likelihoods), likeliest=", ".join(likeliest)))
    else:
        sentences.append(patterns["no_names"])
    return sentences
