"""Captions of a clip: its owner's words first and verbatim, then its label with measured facts, or the facts alone.

Phrasings are data (`words/`, `sports/`), chosen by a generator seeded with the video key. Nothing is said that was not
given, or measured with certainty. Captions leave out what a change of speed by 20 % makes untrue (exact times), because
training uses such variants.
"""

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import ValidationError

from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.records import Record
from posellm_assets.texts.certainty import sure
from posellm_assets.texts.config import Language
from posellm_assets.texts.fact import Fact
from posellm_assets.texts.facts import measure_stretches
from posellm_assets.texts.glossary import NO_GLOSSARY, Glossary, Name, named, spoken
from posellm_assets.texts.wording import RELATIONS, JointMovement, joint_movements, relation_words, words

# Movements told in each caption: a short one first, which a small model can learn to say.
MOVEMENTS_TOLD = (1, 2, 2)
RELATION_TOLD = 1  # the caption that tells a relation of body parts, where there is one, instead of a second movement
# Periods (s) that stay quick or slow when a clip is played up to 20 % slower or faster.
QUICK_S, SLOW_S = 0.8, 3.6


class CaptionText(Record):
    """One caption and where it comes from: the owner, the label (with facts), or facts alone.

    `language` is None for words whose owner did not say in which language they are. What tells measured facts tells
    them of one stretch of the clip, from `start_s` to `end_s`; words without a time hold for all of it.
    """

    text: str
    kind: Literal["user", "label", "facts"]
    language: str | None
    start_s: float | None = None
    end_s: float | None = None

    @property
    def of_all(self) -> bool:
        """Whether it holds for every part of the clip: the owner's words, and the name of the movement."""
        return self.start_s is None

    def tells_of(self, start_s: float, end_s: float) -> bool:
        """Whether it is about what happens between two times of the clip."""
        return self.start_s is None or self.end_s is None or (self.start_s < end_s and start_s < self.end_s)


class Captions(Record):
    """The texts about one video and the facts behind them."""

    key: str
    texts: list[CaptionText]
    facts: list[Fact]
    names: tuple[Name, ...] = ()
    """What the movement of its label is called, and told as: `phrasings` makes of them what people ask for."""


def label_words(label: str) -> str:
    """A label or sport as it is written in texts: "jumping_jack" becomes "jumping jack"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()).lower()


def captions_for(
    key: str,
    motion: Motion,
    *,
    sport: str,
    label: str | None,
    user_captions: Sequence[str],
    user_language: str | None = None,
    languages: Sequence[Language] = ("en",),
    glossary: Glossary = NO_GLOSSARY,
) -> Captions:
    """Measure `motion` and word what was found in each of `languages`; the same key gives the same captions.

    Each stretch without a gap or a cut is measured and worded by itself.

    A labelled clip gets its label's words alone, and with facts; every such caption begins with the name of the
    movement: the owner's own in their language (`user_language`, else the first of `languages`), in the others the
    glossary's where it knows the label. A clip without a label gets facts alone. Where nothing was measured and nothing
    given, there are no texts.
    """
    stretches = measure_stretches(motion)
    choose = random.Random(key)
    texts = [CaptionText(text=text, kind="user", language=user_language) for text in user_captions if text.strip()]
    owners = label_words(label or "")
    label_language = user_language or languages[0]
    said_of_label: list[Name] = []
    if owners:
        texts.append(CaptionText(text=owners, kind="label", language=label_language))
        said_of_label.append(Name(text=owners, language=label_language))
    for language in languages:
        told = [(stretch, _facts_texts(sure(facts), stretch, choose, language)) for stretch, facts in stretches]
        if not owners:
            texts += [_of(stretch, text, "facts", language) for stretch, of_facts in told for text in of_facts]
            continue
        names = named(owners, language, glossary)
        said_of_label += spoken(owners, language, glossary)
        name = owners if language == label_language or not names else names[0]
        sport_name = label_words(sport)
        if language != label_language:
            sport_name = glossary.sport.get(language, sport_name)
        patterns = words(language)["caption"]
        phrasings = patterns["labelled"] + glossary.captions.get(language, [])
        said = [] if name == owners else [name]
        if synonyms := [other for other in names if other.lower() != name]:
            said.append(choose.choice(patterns["synonym"]).format(label=name, synonym=choose.choice(synonyms)))
        texts += [CaptionText(text=text, kind="label", language=language) for text in said]
        for stretch, of_facts in told:
            for phrasing, text in zip(choose.sample(phrasings, len(MOVEMENTS_TOLD)), of_facts, strict=False):
                said_of = phrasing.format(label=name, sport=sport_name, facts=text)
                texts.append(_of(stretch, said_of, "label", language))
    return Captions(
        key=key,
        texts=list(dict.fromkeys(texts)),
        facts=[fact for _, facts in stretches for fact in facts],
        names=tuple(dict.fromkeys(said_of_label)),
    )


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


def _of(stretch: Motion, text: str, kind: Literal["label", "facts"], language: str) -> CaptionText:
    """A caption that tells facts of one stretch."""
    start_s, end_s = round(stretch.start_s, 3), round(stretch.start_s + stretch.duration_s, 3)
    return CaptionText(text=text, kind=kind, language=language, start_s=start_s, end_s=end_s)


def _facts_texts(facts: list[Fact], motion: Motion, choose: random.Random, language: Language) -> list[str]:
    """Phrases of the largest movements, one for each of `MOVEMENTS_TOLD`; empty where nothing was measured."""
    patterns = words(language)["caption"]
    still_s = sum(fact.value for fact in facts if fact.kind == "hold")
    relation = next((fact for fact in facts if fact.kind in RELATIONS), None)
    texts = []
    for number, told in enumerate(MOVEMENTS_TOLD):
        phrases = [_movement_text(movement, choose, language) for movement in joint_movements(facts)[:told]]
        if still_s > 0.5 * len(motion.joints) / motion.fps:
            phrases = [choose.choice(patterns["still"]), *phrases[:1]]
        if number == RELATION_TOLD and relation is not None:
            phrases = [*phrases[:1], relation_words(relation, language)]
        joined = choose.choice(patterns["joined"])
        texts.append(joined.format(first=phrases[0], second=phrases[1]) if len(phrases) > 1 else "".join(phrases))
    return [text for text in texts if text]


def _movement_text(movement: JointMovement, choose: random.Random, language: Language) -> str:
    patterns = words(language)["caption"]
    count = choose.choice(patterns["count"])
    # Sides that were counted differently are not given one count.
    times = max(movement.counts) if max(movement.counts) - min(movement.counts) <= 1 else 0
    often = patterns["back"] if times == 1 else ""
    if times > 1:
        often = count.format(n=times) + patterns["each"] * (len(movement.angles) == 2)
    pace = ""
    if movement.period_s is not None:
        pace = patterns["quick"] if movement.period_s <= QUICK_S else patterns["slow"] * (movement.period_s >= SLOW_S)
    start, end = (sum(values) / len(values) for values in zip(*movement.spans, strict=True))
    return choose.choice(patterns["movement"]).format(
        who_verb=movement.who_verb(language),
        pace=pace,
        count=often,
        start=_rounded(start),
        end=_rounded(end),
        range=_rounded(abs(start - end)),
    )


def _rounded(angle_deg: float) -> int:
    """To 10 degrees, which monocular landmarks justify and a small vocabulary can learn."""
    return round(angle_deg / 10) * 10
