"""What a model says of a motion, and how sure it is: its text, and how likely each movement is that it was taught."""

from collections.abc import Sequence

from posellm_assets.language.decoding import MotionLM
from posellm_assets.records import Record


class Naming(Record):
    """A model's words about a motion. `likelihoods` are those of the movements that it was taught, the likeliest first:
    they add up to 1, because the model takes every motion for one of them. Empty where it was taught no names."""

    text: str
    likelihoods: dict[str, float]


def say(model: MotionLM, codes: Sequence[int]) -> Naming:
    """What `model` says of a motion (its codes); raises ValueError for a motion without codes.

    The likelihood of a movement is that of its name as the beginning of the text, among all the names.
    """
    labels = sorted(model.taught.movements)
    likelihoods: dict[str, float] = {}
    if labels:
        shares = model.score_labels([codes], labels)[0].softmax(0).tolist()
        likelihoods = dict(sorted(zip(labels, shares, strict=True), key=lambda item: -item[1]))
    return Naming(text=model.text_from_motion([codes])[0], likelihoods=likelihoods)
