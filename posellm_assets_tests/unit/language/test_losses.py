import torch

from posellm_assets.language import models
from posellm_assets.language.losses import token_losses
from posellm_assets_tests.unit.language.test_grammar import CODES, random_lm


def test_the_codes_of_a_place_compete_among_themselves_and_all_else_with_everything() -> None:
    lm = random_lm(layers=3)
    vocabulary = lm.vocabulary
    hidden = torch.randn(1, lm.model.config.hidden_size)
    everything = models.logits(lm.model, hidden).softmax(-1)[0]
    for place in (1, 2):
        codes = torch.tensor(vocabulary.codes_of(place))
        shares = (-token_losses(lm.model, hidden.expand(CODES, -1), codes, vocabulary)).exp()
        torch.testing.assert_close(shares.sum(), torch.tensor(1.0))
        torch.testing.assert_close(shares, everything[codes] / everything[codes].sum())
    for token in (*vocabulary.codes_of(0), vocabulary.end, vocabulary.end_of_text):
        loss = token_losses(lm.model, hidden, torch.tensor([token]), vocabulary)
        torch.testing.assert_close((-loss).exp()[0], everything[token])


def test_losses_keep_the_order_of_their_labels() -> None:
    lm = random_lm(layers=2)
    hidden = torch.randn(12, lm.model.config.hidden_size)
    labels = torch.tensor(
        [
            code
            for pair in zip(lm.vocabulary.codes[:6], lm.vocabulary.codes[CODES : CODES + 6], strict=True)
            for code in pair
        ]
    )
    together = token_losses(lm.model, hidden, labels, lm.vocabulary)
    alone = [token_losses(lm.model, hidden[i : i + 1], labels[i : i + 1], lm.vocabulary) for i in range(12)]
    torch.testing.assert_close(together, torch.cat(alone))
