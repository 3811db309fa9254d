"""`posellm recognise` and `posellm evaluate actions`. Loads torch where a member needs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posellm_assets.actions.config import Method
from posellm_assets.actions.recogniser import ActionRecogniser
from posellm_assets.actions.recognition import Recognition
from posellm_assets.actions.timeline import write_annotated, write_timeline
from posellm_assets.checksums import check_model, forget_folder, record_folder
from posellm_assets.files import write_json
from posellm_assets.footage.splits import Split
from posellm_assets.generations.releases import required
from posellm_assets.jobs.actions import action_report_job
from posellm_assets.lake import PAGE, Lake
from posellm_assets.pool import Pool
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.subjects import subject_of
from posellm_assets.settings import Settings

METHODS: tuple[Method, ...] = ("clip", "hits", "windows")
ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


def recogniser_of(lake: Lake, settings: Settings) -> ActionRecogniser:
    """The recogniser in use; ValueError where there is none."""
    folder = check_model(required(lake, "recogniser").path(lake))
    return ActionRecogniser(folder, settings.recognition, settings.motion, settings.poses)


def recognise_videos(
    lake: Lake, settings: Settings, path: Path, sport: str | None, method: Method | None, out: Path | None
) -> Iterator[tuple[Path, Recognition | Exception]]:
    """What each video shows, or why it cannot be said: of a file, or of all videos of a folder and the folders in it.

    With `out` its JSON, time line and annotated video are written there, each as soon as it is known and in folders as
    those that the videos lie in. Raises ValueError where there is no recogniser
    or no video.
    """
    top = path if path.is_dir() else path.parent
    videos = sorted(one for one in path.rglob("*") if one.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    if not videos:
        raise ValueError(f"{path} holds no video ({', '.join(ENDINGS)})")
    recogniser = recogniser_of(lake, settings)
    for video in videos:
        try:
            yield video, recognise_video(recogniser, video, sport, method, out and out / video.parent.relative_to(top))
        except (ValueError, OSError) as error:
            yield video, error


def recognise_video(
    recogniser: ActionRecogniser,
    video: Path,
    sport: str | None,
    method: Method | None,
    out: Path | None,
    pool: Pool | None = None,
) -> Recognition:
    """What one video shows, as `recognise_videos` says it. Raises ValueError or OSError where it cannot be said."""
    poses, _ = poses_of(video, recogniser.poses, pool)
    subject = subject_of(poses)
    found = recogniser.recognise_poses(video, subject, sport, method)
    if out:
        annotated = out / f"{video.stem}.annotated.mp4"
        write_annotated(video, subject, found, annotated)
        write_timeline(found, out / f"{video.stem}.html", annotated)
        write_json(out / f"{video.stem}.json", found.model_dump(mode="json"))
    return found


def evaluate_recogniser(lake: Lake, settings: Settings, split: Split) -> tuple[dict[str, Any], Path]:
    """Measure the recogniser in use on a split of its snapshot; returns the metrics and the page."""
    from posellm_assets.actions.evaluate import evaluate

    job = action_report_job(lake, settings, required(lake, "recogniser").name)
    if split != "test":
        job = job.model_copy(update={"split": split, "out": job.out / split})
    forget_folder(job.out)
    metrics = evaluate(job, lambda message: None)
    record_folder(job.out)
    return metrics, job.out / PAGE
