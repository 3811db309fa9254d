"""Words that tell of a movement, and how near texts are to each other by the words that they share.

Words are compared by their stems, a small typing error is forgiven, and those that mean about the same of a movement
count as one (`asking/`): soft TF-IDF (Cohen, Ravikumar and Fienberg, IIWeb 2003) over words and pairs of words. Words
that say nothing of a movement do not count; words that no text has do, so that "jump over a hurdle" is not near
"jumping jack".
"""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA
from scipy import sparse

from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.phrasings import asking

_PAIR = 0.5  # how much two words in their order count, against one
_MISTYPED = 0.8  # how much a word counts that differs from one by a typing error
_SHORTEST_MISTYPED, _LONG = 4, 8  # letters of words that may hold one error, and two
_WORD = re.compile(r"[^\W\d_]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")


class Stems:
    """The telling words of texts, as stems, in any of some languages."""

    def __init__(self, languages: Iterable[str]):
        own = [asking(language) for language in languages if language in LANGUAGES]
        said = {word for one in own for word in (*one.ordinary, *one.words)}
        endings = sorted({ending for one in own for ending in one.endings}, key=lambda ending: (-len(ending), ending))
        self._ending = re.compile(f"(?<=[^\\W\\d_]{{3}})(?:{'|'.join(endings)})$") if endings else None
        self._phrases = sorted((word for word in said if _CHINESE.fullmatch(word)), key=len, reverse=True)
        self._ordinary = {_plain(word) for word in said}
        self._same = {
            self._stem(_plain(word)): self._stem(_plain(group[0]))
            for one in own
            for group in one.alike
            for word in group
        }

    def of(self, text: str) -> list[str]:
        """In the order of the text, without those that say nothing; all of them where none says anything."""
        found = self._words(text)
        telling = [word for word in found if word not in self._ordinary and (len(word) > 1 or _CHINESE.match(word))]
        return self._stems(telling or found)

    def compounds(self, text: str) -> dict[str, tuple[str, str]]:
        """The stems of two words that follow each other in a text, by the stem of both written as one."""
        found = self._words(text)
        joined = [self._stem(first + then) for first, then in pairwise(found)]
        return dict(zip(joined, pairwise(self._stems(found)), strict=True))

    def _words(self, text: str) -> list[str]:
        """Letters that stand together; of Chinese, which has no spaces, pairs of characters."""
        text = _plain(text)
        for phrase in self._phrases if _CHINESE.search(text) else ():
            text = text.replace(phrase, " ")
        words: list[str] = []
        for run in _WORD.findall(_CHINESE.sub(lambda found: f" {found[0]} ", text)):
            pairs = [run[at : at + 2] for at in range(max(1, len(run) - 1))]
            words += pairs if _CHINESE.match(run) else [run]
        return words

    def _stems(self, words: Iterable[str]) -> list[str]:
        return [self._same.get(stem, stem) for stem in map(self._stem, words)]

    def _stem(self, word: str) -> str:
        if self._ending is None or _CHINESE.match(word):
            return word
        stem = self._ending.sub("", word, count=1)
        return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] and stem != word else stem


class Words:
    """How near prompts are to texts by the words that they share, and by which follow each other."""

    def __init__(self, texts: Sequence[str], movements: Sequence[str], languages: Sequence[str]):
        """`movements`: of each text, which several texts may share. A word weighs the more the fewer of them use it."""
        self._stems = Stems(languages)
        rows = [_terms(self._stems.of(text)) for text in texts]
        owners: dict[str, set[str]] = defaultdict(set)
        for row, movement in zip(rows, movements, strict=True):
            for term in row:
                owners[term].add(movement)
        self._columns = {term: column for column, term in enumerate(owners)}
        self._words = [term for term in owners if " " not in term]
        count = len(set(movements)) + 1
        self._weights = {
            term: (_PAIR if " " in term else 1.0) * math.log(count / len(found)) for term, found in owners.items()
        }
        self._unknown = float(np.median([self._weights[word] for word in self._words] or [1.0]))
        self._texts = self._matrix([{term: self._weights[term] for term in row} for row in rows])
        self._compounds = {joined: parts for text in texts for joined, parts in self._stems.compounds(text).items()}

    def __call__(self, prompts: Sequence[str]) -> np.ndarray:
        """(prompts, texts): 0 where no telling word is shared, 1 where all are."""
        asked = [self._asked(prompt) for prompt in prompts]
        found = self._matrix([terms for terms, _ in asked], np.array([length for _, length in asked])) @ self._texts.T
        return np.asarray(found.todense())

    def _asked(self, prompt: str) -> tuple[dict[str, float], float]:
        """The weights of a prompt's terms, and its length with the words that no text has."""
        stems: list[str] = []
        for stem in self._stems.of(prompt):
            stems += [stem] if stem in self._columns else self._compounds.get(stem, [stem])
        matched = dict(zip(stems, map(self._match, stems), strict=True))
        terms = [term for term in _terms([matched[stem][0] for stem in stems]) if term in self._columns]
        unknown = {stem for stem, _ in matched.values() if stem not in self._columns}
        whole = {term: self._weights[term] for term in terms}
        length = math.hypot(*whole.values(), *(self._unknown for _ in unknown))
        for stem, share in matched.values():
            if stem in whole:
                whole[stem] *= share
        return whole, length

    def _match(self, stem: str) -> tuple[str, float]:
        """The word of the texts that `stem` is, or is mistyped from, else itself; and how much it counts."""
        if stem in self._columns or len(stem) < _SHORTEST_MISTYPED:
            return stem, 1.0
        most = 2 if len(stem) >= _LONG else 1
        alike = [word for word in self._words if word[0] == stem[0] and len(word) >= _SHORTEST_MISTYPED - 1]
        found = process.extractOne(stem, alike, scorer=OSA.distance, score_cutoff=most)
        return (found[0], _MISTYPED) if found else (stem, 1.0)

    def _matrix(self, rows: Sequence[dict[str, float]], lengths: np.ndarray | None = None) -> sparse.csr_matrix:
        """(rows, terms) over their lengths."""
        if lengths is None:
            lengths = np.array([math.hypot(*row.values()) for row in rows])
        places = [(number, self._columns[term]) for number, row in enumerate(rows) for term in row]
        values = [value / lengths[number] for number, row in enumerate(rows) for value in row.values()]
        row_of, column_of = zip(*places, strict=True) if places else ((), ())
        return sparse.csr_matrix((values, (row_of, column_of)), shape=(len(rows), len(self._columns)))


def _terms(stems: Sequence[str]) -> list[str]:
    """Stems, and pairs of those that follow each other, each once."""
    return list(dict.fromkeys([*stems, *(f"{first} {then}" for first, then in pairwise(stems))]))


def _plain(text: str) -> str:
    """In lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
