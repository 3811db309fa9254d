"""From clips to poses, verdicts and contact sheets, with the real network."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from posellm_assets.files import read_json
from posellm_assets.footage.video import UnreadableVideo, frames
from posellm_assets.pool import LocalPool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, PoseSummary, extract_clips
from posellm_assets.poses.landmarker import VideoLandmarker
from posellm_assets.poses.models import ensure_model
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets_tests.unit.poses.conftest import write_video

Pictures = list[tuple[float, np.ndarray]]


def clip_of(video: Path, folder: Path, key: str = "clip") -> PoseItem:
    return PoseItem(key, video, folder / f"{key}.parquet", folder / f"{key}.quality.json", folder / f"{key}.jpg")


def extracted(clip: PoseItem, config: PoseConfig | None = None) -> PoseSummary:
    ((key, summary),) = extract_clips([clip], LocalPool(1), config or PoseConfig())
    assert key == clip.key
    assert isinstance(summary, PoseSummary), summary
    return summary


def test_landmarks_lie_on_the_athlete_and_three_files_say_so(athlete: Path, tmp_path: Path) -> None:
    clip = clip_of(athlete, tmp_path)
    summary = extracted(clip)
    poses = Poses.read(clip.poses)
    subject = subject_of(poses)
    truth = np.load(athlete.with_name(athlete.name + ".truth.npz"))["image"]
    torso = np.linalg.norm(truth[:, 11:13].mean(1) - truth[:, 23:25].mean(1), axis=-1)
    body = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    error = np.linalg.norm(subject.pixels - truth, axis=-1)[:, body] / torso[:, None]
    assert (error < 0.2).mean() > 0.85  # PCK@0.2
    assert summary.frames == len(truth) == len(poses.time_s)
    assert summary.quality.passed
    assert poses.model_sha256 == ensure_model("full").sha256
    assert poses.parameters == PoseConfig().model_dump()
    assert read_json(clip.quality)["passed"] is True
    sheet = clip.contact_sheet.read_bytes()
    assert len(sheet) <= 60_000
    assert cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR).shape == (960, 640, 3)


def test_a_clip_is_not_touched_by_the_clips_before_it(athlete: Path, pictures: Pictures, tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.mp4", [rgb[:, ::-1] for _, rgb in pictures[:30]])
    clips = [clip_of(other, tmp_path, "first"), clip_of(athlete, tmp_path, "second"), clip_of(other, tmp_path, "third")]
    assert [key for key, _ in extract_clips(clips, LocalPool(1), PoseConfig())] == ["first", "second", "third"]
    first, second, third = (Poses.read(clip.poses) for clip in clips)
    with VideoLandmarker(ensure_model("full").path, 1, 0.5) as landmarker:
        fresh = np.stack([landmarker.landmarks(rgb, time_s) for time_s, rgb in pictures])
    assert np.array_equal(second.landmarks, fresh[..., :3])
    assert np.array_equal(second.world, fresh[..., 5:])
    assert np.array_equal(first.landmarks, third.landmarks, equal_nan=True)


def test_behind_a_cut_nobody_is_looked_for_where_somebody_was_before(pictures: Pictures, tmp_path: Path) -> None:
    before, behind = (
        [np.full_like(rgb, 90) | rgb[::-1] for _, rgb in pictures[:12]],
        [rgb for _, rgb in pictures[12:36]],
    )
    clip = clip_of(write_video(tmp_path / "edited.mp4", before + behind), tmp_path)
    extracted(clip)
    poses = Poses.read(clip.poses)
    assert poses.cuts_s == pytest.approx([0.5])
    shown = list(frames(clip.video))[12:]
    with VideoLandmarker(ensure_model("full").path, 1, 0.5) as landmarker:
        fresh = np.stack([landmarker.landmarks(frame.rgb, frame.time_s)[0] for frame in shown])
    assert np.array_equal(poses.landmarks[12:, 0], fresh[..., :3])


def test_a_long_clip_in_pieces_is_what_it_is_in_one(athlete: Path, tmp_path: Path) -> None:
    whole, pieces = clip_of(athlete, tmp_path, "whole"), clip_of(athlete, tmp_path, "pieces")
    extracted(whole)
    shares: list[float] = []
    config = PoseConfig(piece_s=1.0)
    ((_, summary),) = extract_clips([pieces], LocalPool(2), config, lambda _, share: shares.append(share))
    assert isinstance(summary, PoseSummary), summary
    one, joined = Poses.read(whole.poses), Poses.read(pieces.poses)
    assert np.array_equal(one.time_s, joined.time_s)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])
    torso = np.linalg.norm(one.world[:, 0, 11] - one.world[:, 0, 23], axis=-1).mean()
    seams = np.linalg.norm(one.world - joined.world, axis=-1) / torso
    assert np.median(seams) < 0.005
    assert seams.mean(axis=(1, 2)).max() < 0.05


def test_what_cannot_be_read_stops_nothing_else_and_writes_nothing(athlete: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    clips = [clip_of(tmp_path / "notes.mp4", tmp_path, "notes"), clip_of(athlete, tmp_path, "good")]
    clips.append(clip_of(tmp_path / "gone.mp4", tmp_path, "gone"))
    outcomes = dict(extract_clips(clips, LocalPool(2), PoseConfig()))
    assert isinstance(outcomes["notes"], UnreadableVideo)
    assert isinstance(outcomes["gone"], FileNotFoundError)
    assert isinstance(outcomes["good"], PoseSummary)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "good.jpg",
        "good.parquet",
        "good.quality.json",
        "notes.mp4",
    ]


def test_a_clip_with_nobody_gets_its_files_and_fails_its_gate(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    empty = write_video(tmp_path / "wall.mp4", [noise.integers(90, 110, (240, 320, 3), np.uint8) for _ in range(20)])
    clip = clip_of(empty, tmp_path)
    summary = extracted(clip)
    assert not summary.quality.passed
    assert "No person in view in 100% of 20 frames" in summary.quality.reason
    assert not Poses.read(clip.poses).seen.any()
    assert clip.contact_sheet.exists()


def test_of_two_athletes_the_one_who_moves_is_the_subject(pictures: Pictures, tmp_path: Path) -> None:
    still = pictures[0][1]
    both = write_video(tmp_path / "both.mp4", [np.hstack([still, rgb]) for _, rgb in pictures[:40]])
    clip = clip_of(both, tmp_path)
    summary = extracted(clip)
    poses = Poses.read(clip.poses)
    subject = subject_of(poses)
    assert summary.people >= 2
    assert subject.seen.mean() > 0.9
    assert (np.nanmean(subject.landmarks[subject.seen][..., 0], axis=1) > 0.5).all()


def test_frames_in_one_millisecond_and_strided_pictures_are_handled(pictures: Pictures) -> None:
    model = ensure_model("full").path
    wide = np.zeros((pictures[0][1].shape[0], 500, 3), np.uint8)
    found = []
    for strided in (False, True):
        with VideoLandmarker(model, 1, 0.5) as landmarker:
            rows = []
            for number, (_, rgb) in enumerate(pictures[:6]):
                wide[:, : rgb.shape[1]] = rgb
                picture = wide[:, : rgb.shape[1]] if strided else rgb
                rows.append(landmarker.landmarks(picture, number * 0.0002))
            found.append(np.stack(rows))
    assert found[0].shape == (6, 1, 33, 8)
    assert np.array_equal(found[0], found[1])
