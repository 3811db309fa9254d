"""The measures over embeddings, worked by hand where a hand can do it and checked against scipy where it cannot."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from posellm_assets.evaluation.distributions import (
    chance_of_precision,
    diversity,
    fid,
    frechet_distance,
    matching,
    multimodality,
    over_repeats,
    shrunk_covariance,
)
from posellm_assets.reports.metrics import average, share

THREE = np.array([[0.0], [1.0], [3.0]])


def precision(motions: np.ndarray, texts: np.ndarray, groups: list | None = None, seed: int = 0) -> list[float]:
    pairs = groups or list(range(len(texts)))
    return [figure.value for figure in matching(motions, texts, pairs, seed).r_precision]


def test_r_precision_and_mm_dist_by_hand():
    # Motions at 0, 3 and 1.2, their texts at 0, 1 and 3: the first is nearest to its own text, the second nearest to
    # the third text and then to its own, the third farthest from its own.
    motions = np.array([[0.0], [3.0], [1.2]])
    assert precision(motions, THREE) == pytest.approx([1 / 3, 2 / 3, 1])
    assert matching(motions, THREE, [0, 1, 2]).mm_dist.value == pytest.approx((0 + 2 + 1.8) / 3)


def test_a_text_that_is_the_same_for_everything_finds_nothing():
    assert precision(THREE, np.zeros((3, 1))) == [0, 0, 1]


def test_an_invalid_draw_is_never_found_and_has_no_distance():
    motions = np.array([[0.0], [np.nan], [3.0]])
    assert precision(motions, THREE) == pytest.approx([2 / 3] * 3)
    assert matching(motions, THREE, [0, 1, 2]).mm_dist == average([0.0, 0.0])
    nothing = matching(np.full((3, 1), np.nan), THREE, [0, 1, 2])
    assert [figure.value for figure in nothing.r_precision] == [0, 0, 0] and nothing.mm_dist is None


def test_two_of_the_same_text_never_compete():
    # Six clips of three texts in batches of three different texts: were two of one text in a batch, they would tie.
    texts = np.repeat(THREE, 2, axis=0)
    assert precision(texts, texts, ["a", "a", "b", "b", "c", "c"]) == [1, 1, 1]


def test_texts_are_ranked_among_thirty_two():
    rng = np.random.default_rng(0)
    texts, motions = rng.normal(size=(2, 96, 8))
    by_chance = precision(motions, texts)[2]
    assert by_chance == pytest.approx(3 / 32, abs=0.05) and chance_of_precision(range(96), 3) == 3 / 32
    assert chance_of_precision(["a", "b", "a"], 1) == 0.5 and chance_of_precision(["a", "b"], 3) == 1


def test_the_draws_of_a_text_take_turns():
    # One of two draws fits each text, so half are found, with an interval over the repeats.
    draws = np.stack([THREE, THREE[[1, 2, 0]]])
    figure = matching(draws, THREE, [0, 1, 2]).r_precision[0]
    assert 0.35 < figure.value < 0.65 and figure.n == 3 and figure.repeats == 20
    low, high = figure.interval
    assert low < figure.value < high < low + 0.4


def test_where_nothing_is_left_to_chance_the_interval_is_over_the_pairs():
    found = matching(THREE, THREE + 1, [0, 1, 2])
    assert found.r_precision[2] == share(3, 3) and found.mm_dist == average([1.0, 1.0, 1.0])


def test_a_seed_repeats_and_another_does_not():
    rng = np.random.default_rng(0)
    texts, motions = rng.normal(size=(2, 50, 4))
    assert precision(motions, texts) == precision(motions, texts) != precision(motions, texts, seed=1)


def test_one_text_cannot_be_told_apart():
    with pytest.raises(ValueError, match="at least two different texts"):
        matching(THREE, THREE, ["a", "a", "a"])


def test_the_interval_is_that_of_the_mean_over_the_repeats():
    figure = over_repeats([1.0, 2.0, 3.0, 4.0], n=7)
    # The standard deviation is sqrt(5/3), its mean's standard error half of that.
    assert figure.value == 2.5 and figure.n == 7 and figure.repeats == 4
    assert figure.interval == pytest.approx((2.5 - 1.959964 * 0.6454972, 2.5 + 1.959964 * 0.6454972))


def test_diversity_is_the_mean_distance_of_pairs_and_says_how_many():
    # Whichever two of 0, 0, 2, 2 are paired, all four are: distances 0 and 0, or 2 and 2.
    figure = diversity(np.array([[0.0], [0.0], [2.0], [2.0]]))
    assert figure.n == 2 and 0.5 < figure.value < 2
    assert diversity(np.array([[0.0], [3.0]])).value == 3
    assert diversity(np.zeros((1000, 2))).n == 300
    with pytest.raises(ValueError, match="at least two"):
        diversity(np.zeros((1, 2)))


def test_multimodality_pairs_draws_of_the_same_text_only():
    # Draws of a text are 1 apart, the texts 100 apart.
    draws = np.array([[[0.0], [100.0], [200.0]], [[1.0], [101.0], [201.0]]])
    figure = multimodality(draws)
    assert figure.value == pytest.approx(1) and figure.n == 3
    with pytest.raises(ValueError, match="at least two motions for each text"):
        multimodality(draws[:1])


def test_the_frechet_distance_of_two_normals_on_a_line():
    # Means 0 and 3, standard deviations 1 and 2: 3 squared and 1 squared.
    assert frechet_distance(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])) == pytest.approx(9 + 1)
    assert frechet_distance(THREE, THREE) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="at least two"):
        frechet_distance(THREE, THREE[:1])


def test_the_frechet_distance_agrees_with_the_matrix_square_root_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)), rng.normal(1, 2, size=(30, 5))
    a, b = shrunk_covariance(first), shrunk_covariance(second)
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))


def test_a_covariance_is_shrunk_by_hand_and_less_with_more_vectors():
    # Vectors (2, 0), (-2, 0), (0, 1), (0, -1): plain covariance diag(2, 0.5), target 1.25 I, squared distance 1.125.
    # Scatter: (16 + 16 + 1 + 1) / 16 - 4.25 / 4 = 1.0625, so the share is 1.0625 / 1.125.
    vectors = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    share = 1.0625 / 1.125
    expected = share * 1.25 * np.eye(2) + (1 - share) * np.diag([2, 0.5])
    assert shrunk_covariance(vectors) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    truth = np.diag([4.0, 1.0, 0.1])
    few, many = (np.abs(shrunk_covariance(rng.normal(size=(n, 3)) @ np.sqrt(truth)) - truth).max() for n in (10, 3000))
    assert many < 0.4 and many < few
    assert np.linalg.eigvalsh(shrunk_covariance(rng.normal(size=(4, 50)))).min() > 0.1


def test_fid_is_near_nothing_for_the_same_distribution_and_large_for_another():
    rng = np.random.default_rng(0)
    reference, other = rng.normal(size=(2, 400, 6))
    same = fid(reference, other[None])
    moved = fid(reference, np.stack([other, other]) + 1)
    assert same.n == 200 and same.repeats == 20 and same.value < 0.2
    assert moved.value == pytest.approx(6, abs=1)


def test_nothing_comes_nearer_to_real_motion_than_real_motion_by_standing_for_the_same_texts():
    real = np.random.default_rng(0).normal(size=(40, 6))
    floor = fid(real, real[None])
    assert floor.value > 0.1 and floor.n == 20
    # A model that gives every text its own motion, a hair beside: nothing is left for it to win.
    assert fid(real, real[None] + 1e-6).value == pytest.approx(floor.value, abs=1e-3)
