"""From a video file to sentences about what moves in it, without storing anything."""

from pathlib import Path
from typing import Any

from posellm_assets.checksums import check_model
from posellm_assets.generations.releases import Release, in_use
from posellm_assets.lake import Lake
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.subjects import subject_of
from posellm_assets.settings import Settings
from posellm_assets.texts.config import Language
from posellm_assets.texts.describe import describe_stretches
from posellm_assets.texts.facts import measure_stretches
from posellm_assets.texts.wording import words

_NAMED = 3  # movements whose likelihood is told, at most
_LEAST = 0.01


def describe_video(lake: Lake, video: Path, settings: Settings, language: Language) -> dict[str, Any]:
    """What moves in `video`: `said` is what the language model in use says of it, None where there is none, and
    `unsaid` why; `sentences` begin with that, in `language`, and go on with those measured `facts` that are sure;
    `checks` are the verdicts on its poses.

    Raises ValueError where the video cannot be read or shows nobody well enough to say anything.
    """
    poses, quality = poses_of(video, settings.poses)
    motion = motion_from_poses(subject_of(poses), settings.motion)
    stretches = measure_stretches(motion)
    release, said, unsaid = in_use(lake, "language"), None, None
    if release is None:
        unsaid = words(language)["model"]["none"]
    else:
        try:
            said = _said(lake, release, motion)
        except (ValueError, OSError) as error:
            unsaid = words(language)["model"]["unasked"].format(model=release.name, why=error)
    return {
        "video": str(video),
        "said": said,
        "unsaid": unsaid,
        "sentences": [*(_in_words(said, language) if said else [unsaid]), *describe_stretches(stretches, language)],
        "facts": [fact.model_dump(mode="json") for _, facts in stretches for fact in facts],
        "checks": [check.model_dump(mode="json") for check in quality.checks],
    }


def _said(lake: Lake, release: Release, motion: Motion) -> dict[str, Any]:
    """What a released model says of the longest stretch of a motion."""
    from posellm_assets.language.decoding import MotionLM
    from posellm_assets.language.naming import say
    from posellm_assets.motion.tokenizer import MotionTokenizer

    tokenizer = MotionTokenizer.load(check_model(lake.tokenizer(release.lineage)))
    tokenizer.check(motion)
    stretch = max(motion.segments(tokenizer.frames_per_step / tokenizer.fps), key=len, default=None)
    if stretch is None:
        raise ValueError("nobody is in view for long enough")
    said = say(MotionLM.load(check_model(release.path(lake))), tokenizer.encode(stretch))
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
