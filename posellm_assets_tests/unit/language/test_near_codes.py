"""Codes beside one another, taken for each other in training."""

import numpy as np
import torch

from posellm_assets.language import losses
from posellm_assets.language.near_codes import NearCodes
from posellm_assets.language.packing import IGNORE, PackedBatch
from posellm_assets_tests.unit.language.test_grammar import CODES, random_lm

LINE = np.arange(CODES, dtype=np.float32)[:, None]


def near_codes(read: float = 0.0, written: float = 0.0) -> NearCodes:
    """Of two places with codes on a line each."""
    vectors = np.concatenate([LINE, LINE])
    return NearCodes(random_lm(layers=2).vocabulary, vectors, read, written, torch.device("cpu"))


def test_what_is_read_gives_way_to_codes_beside_it_in_its_place_and_nothing_else_does() -> None:
    vocabulary = random_lm(layers=2).vocabulary
    places = [torch.tensor(vocabulary.codes_of(place)) for place in range(2)]
    others = torch.tensor([*range(vocabulary.codes[0]), *vocabulary.participants.values()])
    torch.manual_seed(0)
    ids = torch.cat([*places, others]).repeat(500, 1)
    blurred = near_codes(read=0.5).blurred(ids)
    changed = blurred != ids
    assert not changed[:, 2 * CODES :].any()
    assert 0.47 < changed[:, : 2 * CODES].float().mean() < 0.53
    for number, place in enumerate(places):
        of_place = blurred[:, number * CODES : (number + 1) * CODES]
        assert place[0] <= of_place.min() and of_place.max() <= place[-1]
    far = (blurred - ids)[changed].abs()
    assert (far == 1).float().mean() > 0.6
    assert torch.equal(near_codes().blurred(ids), ids)


def test_what_is_written_shares_its_probability_with_the_codes_beside_it() -> None:
    vocabulary = random_lm(layers=2).vocabulary
    first, label = vocabulary.codes_of(1)[0], vocabulary.codes_of(1)[5]
    for place, share in ((4, 0.3), (5, 0.7), (6, 0.3)):
        scores = torch.zeros(1, CODES)
        scores[0, place] = 20.0
        loss = near_codes(written=0.3).losses(scores, torch.tensor([label]), first)
        assert loss < 20 if place == 5 else loss > 20 * share / 3
    even = near_codes(written=0.3).losses(torch.zeros(1, CODES), torch.tensor([label]), first)
    torch.testing.assert_close(even, torch.tensor([np.log(CODES)], dtype=torch.float32))


def test_the_end_of_a_motion_shares_with_nothing() -> None:
    vocabulary = random_lm(layers=2).vocabulary
    rows = vocabulary.rows_of(0)
    scores = torch.randn(1, rows.stop - rows.start)
    loss = near_codes(written=0.5).losses(scores, torch.tensor([vocabulary.end]), rows.start)
    torch.testing.assert_close(loss, -scores.log_softmax(-1)[:, vocabulary.end - rows.start])


def test_a_training_without_near_codes_is_what_it_was() -> None:
    lm = random_lm(layers=2)
    codes = torch.tensor([[lm.vocabulary.begin, *lm.vocabulary.codes_of(0)[:1], *lm.vocabulary.codes_of(1)[:1]]])
    labels = torch.where(codes == lm.vocabulary.begin, IGNORE, codes)
    batch = PackedBatch(codes, torch.arange(3)[None], labels)
    plain = losses.summed_loss(lm.model, batch, lm.vocabulary, masked=False, bf16=False)
    none = losses.summed_loss(lm.model, batch, lm.vocabulary, False, False, near_codes())
    shared = losses.summed_loss(lm.model, batch, lm.vocabulary, False, False, near_codes(written=0.4))
    torch.testing.assert_close(plain, none)
    assert not torch.isclose(plain, shared)
