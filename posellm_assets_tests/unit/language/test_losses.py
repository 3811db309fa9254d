import torch

from posellm_assets.language import models
from posellm_assets.language.losses import token_losses
from posellm_assets_tests.unit.language.test_grammar import CODES, random_lm


def test_what_may_stand_at_a_place_competes_with_its_like_alone() -> None:
    lm = random_lm(layers=3)
    vocabulary = lm.vocabulary
    hidden = torch.randn(1, lm.model.config.hidden_size)
    everything = models.logits(lm.model, hidden).softmax(-1)[0]
    codes = [vocabulary.codes_of(place) for place in range(3)]
    words = [*vocabulary.text_tokens, vocabulary.end_of_text]
    for alike, others in (
        (codes[1], []),
        (codes[2], []),
        ([vocabulary.end, *codes[0]], vocabulary.added[2:8]),
        (words, []),
    ):
        shares = (-token_losses(lm.model, hidden.expand(len(alike), -1), torch.tensor(alike), vocabulary)).exp()
        total = everything[alike].sum() + everything[others].sum()
        torch.testing.assert_close(shares, everything[alike] / total)


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
