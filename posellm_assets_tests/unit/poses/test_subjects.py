"""Choosing whom a clip is about."""

import numpy as np

from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import choose_subject
from posellm_assets_tests.unit.poses.bodies import poses_of, standing, walking


def shuffled(poses: Poses, seed: int = 0) -> tuple[Poses, np.ndarray]:
    """The same people in another order in every frame, as MediaPipe gives them, and where person 0 went."""
    noise = np.random.default_rng(seed)
    count, people = poses.landmarks.shape[:2]
    order = np.array([noise.permutation(people) for _ in range(count)])
    for name in ("landmarks", "visibility", "presence", "world"):
        values = getattr(poses, name)
        setattr(poses, name, np.stack([values[frame, order[frame]] for frame in range(count)]))
    return poses, np.argmax(order == 0, axis=1)


def test_the_one_who_moves_is_the_subject_although_the_order_changes_every_frame() -> None:
    poses, mover = shuffled(poses_of([walking(50, 300, 800), standing(50, 1000), standing(50, 150)]))
    subject = choose_subject(poses)
    assert np.array_equal(subject.person, mover)
    assert subject.tracks == 3


def test_the_athlete_in_front_wins_over_a_passer_by_far_back() -> None:
    athlete = walking(60, 550, 700, px_per_metre=260)
    poses, front = shuffled(poses_of([athlete, walking(60, 100, 1200, y=200, px_per_metre=50)]))
    assert np.array_equal(choose_subject(poses).person, front)


def test_two_who_cross_keep_their_identities() -> None:
    poses, first = shuffled(poses_of([walking(75, 200, 1080, px_per_metre=240), walking(75, 1080, 200, y=300)]))
    assert np.array_equal(choose_subject(poses).person, first)


def test_someone_in_view_for_a_moment_does_not_displace_the_athlete() -> None:
    guest = np.full((60, 3), np.nan)
    guest[20:28] = walking(8, 500, 800, px_per_metre=400)
    subject = choose_subject(poses_of([standing(60, 600), guest]))
    assert (subject.person == 0).all()


def test_a_person_lost_and_found_again_is_one_subject() -> None:
    athlete = walking(120, 300, 900)
    athlete[40:80] = np.nan  # longer than a track waits
    subject = choose_subject(poses_of([athlete]))
    assert np.array_equal(subject.person >= 0, np.isfinite(athlete[:, 0]))
    assert subject.tracks == 2


def test_a_cut_to_a_close_picture_goes_on_with_the_same_subject() -> None:
    athlete = np.concatenate([standing(40, 400, px_per_metre=120), standing(40, 640, px_per_metre=330)])
    assert (choose_subject(poses_of([athlete])).person == 0).all()


def test_a_tracker_that_jumps_to_a_neighbour_is_not_followed() -> None:
    jumps = np.concatenate([standing(20, 400), standing(50, 560)])
    person = choose_subject(poses_of([jumps])).person
    assert np.array_equal(person, np.where(np.arange(70) < 20, -1, 0))


def test_nobody_is_nobody() -> None:
    subject = choose_subject(poses_of([np.full((9, 3), np.nan)]))
    assert (subject.person == -1).all()
    assert (subject.tracks, subject.share) == (0, 0.0)


def test_a_helper_at_the_edge_and_nearer_to_the_camera_is_not_the_subject() -> None:
    helper = walking(60, 1050, 1000, px_per_metre=240)
    poses, athlete = shuffled(poses_of([walking(60, 600, 660, px_per_metre=200), helper]))
    assert np.array_equal(choose_subject(poses).person, athlete)


def test_the_one_who_exercises_wins_over_one_who_sits_nearer_and_in_the_middle() -> None:
    sits, exercises = standing(75, 700, px_per_metre=260), standing(75, 450, px_per_metre=200)
    exercises[:, 1] += 60 * np.sin(2 * np.pi * np.arange(75) / 25)
    poses, mover = shuffled(poses_of([exercises, sits]))
    shake = np.random.default_rng(0).normal(0, 1.5, (*poses.landmarks.shape[:3], 2)) / [1280, 720]
    poses.landmarks[..., :2] += shake.astype(np.float32)
    assert np.array_equal(choose_subject(poses).person, mover)


def test_an_athlete_who_holds_still_in_front_wins_over_a_passer_by() -> None:
    passer_by = walking(75, 100, 1200, y=200, px_per_metre=60)
    poses, athlete = shuffled(poses_of([standing(75, 640, px_per_metre=260), passer_by]))
    assert np.array_equal(choose_subject(poses).person, athlete)
