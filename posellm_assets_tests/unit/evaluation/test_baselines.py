import itertools

import numpy as np

from posellm_assets.evaluation.baselines import CodeStatistics, nearest_by_codes, nearest_by_text


def test_smoothed_counts_are_probabilities_over_all_sequences_of_a_length():
    counted = CodeStatistics([[0, 1, 0, 1], [1, 1]], codebook_size=2)
    for nll in (counted.unigram_nll, counted.bigram_nll):
        # All sequences of at most 12 codes and their end carry nearly all of the probability, and never more than all.
        total = sum(
            np.exp(-nll(codes) * len(codes))
            for length in range(1, 13)
            for codes in itertools.product((0, 1), repeat=length)
        )
        assert 0.5 < total < 1.0


def test_a_bigram_predicts_what_repeats_better_than_a_unigram():
    counted = CodeStatistics([[0, 1, 2, 3] * 5] * 10, codebook_size=4)
    assert counted.bigram_nll([0, 1, 2, 3] * 3) < counted.unigram_nll([0, 1, 2, 3] * 3) / 2


def test_the_nearest_clip_by_codes_has_the_same_ones():
    train = [[0, 0, 1], [2, 2, 3], [2, 3, 3]]
    assert nearest_by_codes(train, [[0, 1, 1, 0], [3, 2, 2], [3, 3, 2]], 4) == [0, 1, 2]


def test_the_nearest_clip_by_text_shares_words_and_their_order():
    train = [["walk", "walk: both knees bend"], ["the left arm rises"], ["rises the arm left"]]
    assert nearest_by_text(train, ["Both knees bend twice", "the left arm rises up", "walk"]) == [0, 1, 0]
