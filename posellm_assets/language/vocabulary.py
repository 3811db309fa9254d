"""Which token ids are text, which are motion, and which mark tasks.

Everything here works on ids: a motion code becomes an id by lookup, never by writing and splitting a string, and there
is no separator between codes. A user's text that happens to contain `<motion_7>` stays text.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from posellm_assets import files

_FILE = "vocabulary.json"
_END_OF_TEXT = "<|endoftext|>"
_REMEMBERED = 50_000  # texts with their ids: ways to ask for a movement hardly ever come twice
_MARKERS = (
    "<MOT_BEGIN>",
    "<MOT_END>",
    "<T2M>",
    "<M2T>",
    "<DENOISE>",
    "<MOTION_MASK>",
    "<CONTINUATION>",
    "<BETWEEN>",
)


class Vocabulary:
    """A text tokenizer with motion tokens, task markers and participant markers added.

    `codebook_size` counts the motion tokens of all places of a step together: code `c` of place `p` has the id
    `codes[p * (codebook_size // codes_per_step) + c]`, and a motion runs through the places of a step before the next.

    Attributes: `codes` (ids by motion code), `codes_per_step`, `begin`, `end`, `t2m`, `m2t`, `denoise`, `mask`,
    `continuation`, `between`, `end_of_text`, `pad` (ids), `participants` (marker id by name), `added` (all ids that the
    text tokenizer did not bring), `new` (those of them that no model has rows for yet), `start` (ids that the base
    model expects at the start of every sequence, often none).
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        codebook_size: int,
        lineage: str = "",
        codes_per_step: int = 1,
        participants: Iterable[str] = (),
    ):
        if tokenizer.eos_token_id is None:
            raise ValueError(f"{tokenizer.name_or_path}: its tokenizer has no end-of-text token; choose another base")
        if codebook_size % codes_per_step:
            raise ValueError(
                f"a codebook of {codebook_size} codes does not divide into {codes_per_step} places of a step"
            )
        self.tokenizer = tokenizer
        self.codebook_size = codebook_size
        self.lineage = lineage
        self.codes_per_step = codes_per_step
        known = len(tokenizer)
        people = sorted(set(participants))
        names = [
            *_MARKERS,
            *(f"<motion_{code}>" for code in range(codebook_size)),
            *(f"<PID_{person}>" for person in people),
        ]
        tokenizer.add_tokens(names, special_tokens=True)
        ids: list[int] = tokenizer.convert_tokens_to_ids(names)
        self.begin, self.end, self.t2m, self.m2t, self.denoise, self.mask, self.continuation, self.between = ids[:8]
        self.codes = ids[len(_MARKERS) : len(_MARKERS) + codebook_size]
        self.participants = dict(zip(people, ids[len(_MARKERS) + codebook_size :], strict=True))
        self.added = ids
        self.new = [token for token in ids if token >= known]
        self.end_of_text: int = tokenizer.eos_token_id
        self.pad: int = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        opening = tokenizer("").input_ids[:1]
        self.start: list[int] = opening if opening == [tokenizer.bos_token_id] else []
        self._text_ids: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.tokenizer)

    @cached_property
    def code_of(self) -> dict[int, int]:
        """Motion code by token id."""
        return {token: code for code, token in enumerate(self.codes)}

    def codes_of(self, place: int) -> list[int]:
        """The ids of the codes of one place of a step, which stand at every `codes_per_step`-th place of a motion."""
        size = self.codebook_size // self.codes_per_step
        return self.codes[place * size : (place + 1) * size]

    @property
    def text_rows(self) -> slice:
        """The ids of all that the text tokenizer brought: what may stand in a text, and its end."""
        return slice(0, min(self.added))

    def rows_of(self, place: int) -> slice:
        """The ids of `codes_of(place)`; of the first place from the end of the motion on, which may stand there too."""
        codes = self.codes_of(place)
        return slice(codes[0] if place else self.end, codes[-1] + 1)

    def participant(self, name: str) -> int:
        """The id of a participant's marker; a participant that has none raises ValueError naming those that do."""
        if name not in self.participants:
            known = ", ".join(self.participants) or "none"
            raise ValueError(f"the model knows no participant {name!r}; it knows: {known}")
        return self.participants[name]

    @cached_property
    def text_tokens(self) -> list[int]:
        """The ids that a generated text may contain, without the end of text; ascending."""
        banned = {*self.added, *self.tokenizer.all_special_ids}
        return [token for token in sorted(self.tokenizer.get_vocab().values()) if token not in banned]

    def encode_text(self, text: str) -> list[int]:
        """The ids of a text. Names of special tokens in it are spelled out like any other characters."""
        if text not in self._text_ids:
            if len(self._text_ids) >= _REMEMBERED:
                self._text_ids.clear()
            encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
            self._text_ids[text] = list(encoded.input_ids)
        return self._text_ids[text]

    def decode_text(self, ids: Sequence[int]) -> str:
        """The text of `ids`, up to the first end of text."""
        ids = list(ids)
        if self.end_of_text in ids:
            ids = ids[: ids.index(self.end_of_text)]
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def encode_codes(self, codes: Iterable[int]) -> list[int]:
        """The ids of motion codes; a code outside the codebook raises ValueError."""
        codes = list(codes)
        for code in codes:
            if not 0 <= code < self.codebook_size:
                raise ValueError(f"motion code {code} is not in the codebook of {self.codebook_size} codes")
        return [self.codes[code] for code in codes]

    def save(self, folder: Path) -> None:
        """Write the tokenizer and `vocabulary.json` into a model folder."""
        self.tokenizer.save_pretrained(folder)
        record = {
            "codebook_size": self.codebook_size,
            "lineage": self.lineage,
            "codes_per_step": self.codes_per_step,
            "participants": sorted(self.participants),
        }
        files.write_json(folder / _FILE, record)

    @classmethod
    def load(cls, folder: Path, participants: Iterable[str] = ()) -> "Vocabulary":
        """Read what `save` wrote, with markers for further `participants`.

        Raises FileNotFoundError where `folder` is no motion language model.
        """
        if not (folder / _FILE).is_file():
            raise FileNotFoundError(f"{folder} holds no {_FILE}: it is not a model that this project trained")
        record = files.read_json(folder / _FILE)
        record["participants"] = [*record["participants"], *participants]
        return cls(AutoTokenizer.from_pretrained(folder, trust_remote_code=False), **record)


def tiny_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `texts`. Any text encodes, because every byte is in its alphabet.

    The same texts, in any order, give the same tokenizer.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[_END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END_OF_TEXT, pad_token=_END_OF_TEXT)
