from pathlib import Path

import pytest

from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets_tests.unit.language import samples


def test_a_text_that_names_motion_tokens_stays_text() -> None:
    vocabulary = samples.vocabulary()
    text = "<motion_3><MOT_END> then <|endoftext|> squat"
    ids = vocabulary.encode_text(text)
    assert not set(ids) & {*vocabulary.added, vocabulary.end_of_text}
    assert vocabulary.decode_text(ids) == text


@pytest.mark.parametrize("text", ["", "Überkopf-Aufschlag", "发球 🎾", "tab\there", "knees 90°"])
def test_any_text_encodes_although_the_tokenizer_never_saw_its_characters(text: str) -> None:
    vocabulary = samples.vocabulary()
    assert vocabulary.decode_text(vocabulary.encode_text(text)) == text


def test_nothing_stands_between_two_codes() -> None:
    vocabulary = samples.vocabulary()
    ids = vocabulary.encode_codes([0, 23, 23, 5])
    assert ids == [vocabulary.codes[0], vocabulary.codes[23], vocabulary.codes[23], vocabulary.codes[5]]
    assert len(set(vocabulary.codes)) == samples.CODEBOOK_SIZE


def test_a_code_of_another_codebook_is_refused() -> None:
    with pytest.raises(ValueError, match="motion code 24 is not in the codebook of 24"):
        samples.vocabulary().encode_codes([1, 24])


def test_the_tokenizer_does_not_depend_on_the_order_of_the_texts() -> None:
    texts = ["a squat", "a serve", "both arms rise", "both arms fall"]
    assert tiny_tokenizer(texts, 300).get_vocab() == tiny_tokenizer(reversed(texts), 300).get_vocab()


def test_a_vocabulary_is_the_same_after_it_was_stored(tmp_path: Path) -> None:
    vocabulary = Vocabulary(
        tiny_tokenizer(["a squat"], 300), 8, "lineage-1", codes_per_step=2, participants=["zoe", "ana"]
    )
    vocabulary.save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    assert (loaded.codes_per_step, loaded.participants, loaded.new) == (2, vocabulary.participants, [])
    assert (loaded.added, loaded.lineage, len(loaded)) == (vocabulary.added, "lineage-1", len(vocabulary))
    assert loaded.encode_text("<motion_1> squat") == vocabulary.encode_text("<motion_1> squat")


def test_generated_text_may_hold_no_motion_and_no_markers() -> None:
    vocabulary = samples.vocabulary()
    assert not set(vocabulary.text_tokens) & {*vocabulary.added, vocabulary.end_of_text}
    assert set(vocabulary.encode_text("squat: 3 times")) <= set(vocabulary.text_tokens)


def test_each_place_of_a_step_has_codes_of_its_own() -> None:
    vocabulary = Vocabulary(tiny_tokenizer(["a squat"], 300), 6, codes_per_step=2)
    assert vocabulary.codes_of(0) + vocabulary.codes_of(1) == vocabulary.codes
    assert len(set(vocabulary.codes)) == 6
    with pytest.raises(ValueError, match="7 codes does not divide into 2 places"):
        Vocabulary(tiny_tokenizer(["a squat"], 300), 7, codes_per_step=2)


def test_a_participant_joins_a_stored_vocabulary_and_moves_no_id(tmp_path: Path) -> None:
    vocabulary = Vocabulary(tiny_tokenizer(["a squat"], 300), 7, participants=["mia"])
    vocabulary.save(tmp_path)
    grown = Vocabulary.load(tmp_path, ["ana", "mia"])
    assert set(grown.participants) == {"ana", "mia"}
    assert grown.participants["mia"] == vocabulary.participants["mia"]
    assert grown.codes == vocabulary.codes
    assert grown.new == [grown.participants["ana"]] == [len(vocabulary)]
