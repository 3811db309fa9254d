"""Captions of a clip: its owner's words first and verbatim, then its label with measured facts, or the facts alone.

Phrasings are data (`words.yaml`), chosen by a generator seeded with the video key. Nothing is said that was not
measured or given. Captions leave out what a change of speed by 20 % makes untrue (exact times), because training uses
such variants.
"""

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from posellm_assets.lake import Lake, read_json, write_json
from posellm_assets.motion.motion import Motion
from posellm_assets.texts.facts import Fact, measure
from posellm_assets.texts.wording import Movement, movements, words

# Movements told in each caption: a short one first, which a small model can learn to say.
MOVEMENTS_TOLD = (1, 2, 2)
# Periods (s) that stay quick or slow when a clip is played up to 20 % slower or faster.
QUICK_S, SLOW_S = 0.8, 3.6


class CaptionText(BaseModel):
    """One caption and where it comes from: the owner, the label (with facts), or facts alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    kind: Literal["user", "label", "facts"]


class Captions(BaseModel):
    """The texts about one video and the facts behind them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    texts: list[CaptionText]
    facts: list[Fact]


def label_words(label: str) -> str:
    """A label or sport as it is written in texts: "jumping_jack" becomes "jumping jack"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()).lower()


def captions_for(key: str, motion: Motion, *, sport: str, label: str | None, user_captions: Sequence[str]) -> Captions:
    """Measure `motion` and word what was found; the same key gives the same captions.

    A labelled clip gets its label's words alone and with facts; every such caption begins with the label's words. A
    clip without a label gets facts alone. Where nothing was measured and nothing given, there are no texts.
    """
    facts = measure(motion)
    choose = random.Random(key)
    texts = [CaptionText(text=text, kind="user") for text in user_captions if text.strip()]
    said = [text for text in (_facts_text(facts, motion, choose, told) for told in MOVEMENTS_TOLD) if text]
    if label and label_words(label):
        name = label_words(label)
        patterns = choose.sample(words()["caption"]["labelled"], len(MOVEMENTS_TOLD))
        texts.append(CaptionText(text=name, kind="label"))
        for pattern, fact_text in zip(patterns, said, strict=False):
            caption = pattern.format(label=name, sport=label_words(sport), facts=fact_text)
            texts.append(CaptionText(text=caption, kind="label"))
    else:
        texts += [CaptionText(text=text, kind="facts") for text in said]
    return Captions(key=key, texts=list(dict.fromkeys(texts)), facts=facts)


def write_captions(lake: Lake, captions: Captions) -> None:
    """Write captions to their place in the lake, atomically."""
    write_json(lake.captions(captions.key), captions.model_dump())


def read_captions(lake: Lake, key: str) -> Captions:
    """The captions of a video; FileNotFoundError where there are none, ValueError where the file is damaged."""
    path = lake.captions(key)
    try:
        return Captions.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{key}: there are no captions {path}; materialize the asset `captions`") from error
    except ValidationError as error:
        raise ValueError(f"{key}: the captions {path} are damaged; materialize `captions` again: {error}") from error


def _facts_text(facts: list[Fact], motion: Motion, choose: random.Random, told: int) -> str:
    """The `told` largest movements in one phrase, or the stillness of a clip that is still for most of its length."""
    patterns = words()["caption"]
    phrases = [_movement_text(movement, choose) for movement in movements(facts)[:told]]
    still_s = sum(fact.value for fact in facts if fact.kind == "hold")
    if still_s > 0.5 * len(motion.joints) / motion.fps:
        phrases = [choose.choice(patterns["still"]), *phrases[:1]]
    if len(phrases) < 2:
        return "".join(phrases)
    return choose.choice(patterns["joined"]).format(first=phrases[0], second=phrases[1])


def _movement_text(movement: Movement, choose: random.Random) -> str:
    patterns = words()["caption"]
    count = choose.choice(patterns["count"])
    # Sides that were counted differently are not given one count.
    times = max(movement.counts) if max(movement.counts) - min(movement.counts) <= 1 else 0
    pace = ""
    if movement.period_s is not None:
        pace = patterns["quick"] if movement.period_s <= QUICK_S else patterns["slow"] * (movement.period_s >= SLOW_S)
    start, end = (sum(values) / len(values) for values in zip(*movement.spans, strict=True))
    return choose.choice(patterns["movement"]).format(
        who_verb=movement.who_verb,
        pace=pace,
        count=count.format(n=times) + patterns["each"] * (len(movement.angles) == 2) if times > 1 else "",
        start=_rounded(start),
        end=_rounded(end),
        range=_rounded(abs(start - end)),
    )


def _rounded(angle_deg: float) -> int:
    """To 10 degrees, which monocular landmarks justify and a small vocabulary can learn."""
    return round(angle_deg / 10) * 10
