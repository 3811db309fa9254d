"""What a model says of a motion, and how sure it is: its text, how likely each movement is that it was taught, and
whether it has seen anything like it."""

import math
from collections.abc import Sequence

from posellm_assets.language.decoding import MotionLM
from posellm_assets.records import Record


class Naming(Record):
    """A model's words about a motion. `likelihoods` are those of the movements that it was taught, the likeliest first:
    they add up to 1, because the model takes every motion for one of them. Empty where it was taught no names.

    `nats_per_code` is how much the codes surprise the model, `blind_nats_per_code` how much they surprise whoever takes
    all codes for equally likely. None where the model was not taught to make motion.
    """

    text: str
    likelihoods: dict[str, float]
    nats_per_code: float | None
    blind_nats_per_code: float

    @property
    def is_familiar(self) -> bool:
        """Whether the model knows more of the motion than a blind guess does; else its text is a guess too."""
        return self.nats_per_code is None or self.nats_per_code < self.blind_nats_per_code


def say(model: MotionLM, codes: Sequence[int]) -> Naming:
    """What `model` says of a motion (its codes); raises ValueError for a motion without codes.

    The likelihood of a movement is that of its name as the beginning of the text, among all the names.
    """
    labels = sorted(model.taught.movements)
    likelihoods: dict[str, float] = {}
    if labels:
        shares = model.score_labels([codes], labels)[0].softmax(0).tolist()
        likelihoods = dict(sorted(zip(labels, shares, strict=True), key=lambda item: -item[1]))
    vocabulary = model.vocabulary
    return Naming(
        text=model.text_from_motion([codes])[0],
        likelihoods=likelihoods,
        nats_per_code=model.nll_per_code([codes]).item() if "t2m" in model.tasks else None,
        blind_nats_per_code=math.log(vocabulary.codebook_size / vocabulary.codes_per_step),
    )
