"""What a prompt is nearest to among what a model was taught, and whether it is near to anything.

A prompt that holds all words of what a taught movement is called is known to be about it, unless it holds a longer name
of another one ("kick", "penalty kick"). Else it is known where it is nearest to what was taught, and not to a movement
of the project's glossaries that was not, and no farther than a limit. The limit comes from what was taught: ways to ask
for a movement, once with all that is known of it and once without, as if it were not known.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from posellm_assets.texts.config import Language
from posellm_assets.texts.glossary import Name, movements
from posellm_assets.texts.phrasings import phrased, typed
from posellm_assets.texts.words import Stems, Words

WRONG_WARNING = 2.0
"""How bad it is to warn of what is known, against not to warn of what is not."""
_MOST_MOVEMENTS, _DRAWS, _TEXTS = 50, 10, 20  # that the limit is taken from; of each movement, and of its texts

Similarity = Callable[[Sequence[str]], np.ndarray]
"""(prompts, texts), 0 to 1, of prompts and the texts that it was made of."""
Compare = Callable[[Sequence[str], Sequence[str], Sequence[Language]], Similarity]
"""Makes a similarity of texts, their movements and the languages that they are in."""


@dataclass(frozen=True)
class Near:
    """What a prompt is nearest to: a taught text, the label of its motions if they have one, and how near, 0 to 1."""

    text: str
    label: str | None
    score: float
    known: bool
    """Whether the model can be taken to have learned what the prompt asks for."""


@dataclass(frozen=True)
class _Movement:
    """A movement: its label (None: a text stands for itself), whether it was taught, its texts and its names."""

    label: str | None
    taught: bool
    texts: Sequence[str]
    names: Sequence[Name]


class Nearest:
    """Ranks what a model was taught by how near a prompt is to it."""

    def __init__(
        self,
        texts: Mapping[str, str | None],
        names: Mapping[str, Sequence[Name]],
        languages: Sequence[Language],
        compare: Compare = Words,
    ):
        """`texts`: the label of each text that was taught, None where it has none; `names`: what the movement of each
        label is called; `languages`: those of both. At least one text must have been taught."""
        of_label: dict[str | None, dict[str, None]] = {}
        for text, label in [*texts.items(), *((name.text, of) for of, own in names.items() for name in own)]:
            of_label.setdefault(label, {})[text] = None
        alone = of_label.pop(None, {})
        self._movements = [_Movement(None, True, [text], ()) for text in alone]
        for label, own in of_label.items():
            called = names.get(label or "") or [Name(text=label or "", language=languages[0])]
            self._movements.append(_Movement(label, True, list(own), called))
        self._movements += _others(names, [*texts], languages)
        self._texts = [text for movement in self._movements for text in movement.texts]
        owners = [str(place) for place, movement in enumerate(self._movements) for _ in movement.texts]
        self._starts = np.cumsum([0, *(len(movement.texts) for movement in self._movements)])[:-1]
        self._taught = np.array([movement.taught for movement in self._movements])
        self._similar = compare(self._texts, owners, languages)
        self._stems = Stems(languages)
        self._names = [
            (frozenset(self._stems.of(name.text)), place)
            for place, movement in enumerate(self._movements)
            for name in movement.names
            if not name.told
        ]
        self._found: dict[str, Near] = {}

    def __call__(self, prompt: str) -> Near:
        """What `prompt` is nearest to."""
        if prompt not in self._found:
            self._found[prompt] = self._find(prompt)
        return self._found[prompt]

    def _find(self, prompt: str) -> Near:
        scores = self._similar([prompt])[0]
        by_movement = self._by_movement(scores)
        place = int(np.where(self._taught, by_movement, -1.0).argmax())
        movement, start = self._movements[place], self._starts[place]
        text = movement.texts[int(scores[start : start + len(movement.texts)].argmax())]
        best, other = float(by_movement[place]), float(by_movement[~self._taught].max(initial=0.0))
        known = place in self._named(prompt) or 0 < best >= max(self.limit, other)
        return Near(text, movement.label, best, known)

    def _named(self, prompt: str) -> set[int]:
        """The movements of which the prompt holds a name that is no part of another name that it holds."""
        stems = set(self._stems.of(prompt))
        held = [(name, place) for name, place in self._names if name <= stems]
        return {place for name, place in held if not any(name < other for other, _ in held)}

    @cached_property
    def limit(self) -> float:
        """The least score of what is known, at which the share of wrong warnings, weighted, and that of missing ones
        are together least."""
        choose = random.Random(0)
        known, unknown = [], []
        places = [place for place, movement in enumerate(self._movements) if movement.taught]
        others = [place for place, movement in enumerate(self._movements) if not movement.taught]
        for place in choose.sample(places, min(len(places), _MOST_MOVEMENTS)):
            movement = self._movements[place]
            own = choose.choices(movement.names, k=_DRAWS) if movement.names else []
            asked = [(phrased(name, choose), name.text if name.told else None) for name in own]
            asked += [(text, text) for text in choose.sample(movement.texts, min(len(movement.texts), _TEXTS))]
            for (_, itself), scores in zip(
                asked, self._similar([typed(text, choose) for text, _ in asked]), strict=True
            ):
                if itself is not None:
                    scores[self._texts.index(itself)] = 0.0
                nearest = self._by_movement(scores)
                known.append(nearest[place] if movement.label else nearest[self._taught].max())
            unknown += self._left_out(place, own, choose)
        for place in choose.sample(others, min(len(others), _MOST_MOVEMENTS)):
            unknown += self._left_out(place, choose.choices(self._movements[place].names, k=_DRAWS // 3), choose)
        return _best_limit(np.array(known), np.array(unknown))

    def _left_out(self, place: int, names: Sequence[Name], choose: random.Random) -> list[float]:
        """How near ways to ask for a movement are to those that were taught, without itself and what shares a word
        with its names, such as its other side."""
        if not names:
            return []
        scores = np.stack([self._by_movement(row) for row in self._similar([phrased(name, choose) for name in names])])
        scores[:, ~self._taught | self._related(place)] = 0.0
        return scores.max(1).tolist()

    def _related(self, place: int) -> np.ndarray:
        own = {word for name in self._movements[place].names if not name.told for word in name.text.split()}
        related = [
            any(own & set(name.text.split()) for name in movement.names if not name.told)
            for movement in self._movements
        ]
        related[place] = True
        return np.array(related)

    def _by_movement(self, scores: np.ndarray) -> np.ndarray:
        """(movements,): the score of the nearest text of each."""
        return np.maximum.reduceat(scores, self._starts)


def _others(
    names: Mapping[str, Sequence[Name]], texts: Sequence[str], languages: Sequence[Language]
) -> list[_Movement]:
    """The movements of the project's glossaries that were not taught, under whatever name.

    One whose name is a single word that taught texts use is left out: "turn" is a dance's, and arms move in turn.
    """
    stems = Stems(languages)
    taught = {tuple(stems.of(text)) for text in [*names, *(name.text for own in names.values() for name in own)]}
    used = {(stem,) for text in texts for stem in stems.of(text)}
    found = []
    for label, said in movements(languages).items():
        called = {tuple(stems.of(name.text)) for name in said if not name.told}
        if not called & taught and called - used:
            by_name = [name for name in said if not name.told]
            found.append(_Movement(label, False, [name.text for name in by_name], by_name))
    return found


def _best_limit(known: np.ndarray, unknown: np.ndarray) -> float:
    """Between the scores of what is known and of what is not; with nothing to compare with, under all that is known."""
    if not len(unknown) or not len(known):
        return float(known.min()) if len(known) else 0.0
    limits = np.unique(np.concatenate([known, unknown, [1.0]]))
    wrong = np.searchsorted(np.sort(known), limits) / len(known)
    missing = 1 - np.searchsorted(np.sort(unknown), limits) / len(unknown)
    return float(limits[int(np.argmin(WRONG_WARNING * wrong + missing))])
