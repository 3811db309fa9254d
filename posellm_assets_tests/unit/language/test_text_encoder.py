from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from posellm_assets.language.text_encoder import SentenceEncoder
from posellm_assets.texts.glossary import Name
from posellm_assets.texts.nearest import Nearest

WORDS = ("[PAD]", "[UNK]", "squat", "genuflect", "serve", "service", "violin", "a", "person", "does")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder that has learned that a genuflection is a squat, and that nothing else is like anything."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
        )
    )
    with torch.no_grad():
        vectors = model.embeddings.word_embeddings.weight
        torch.nn.init.normal_(vectors)
        vectors[WORDS.index("genuflect")] = vectors[WORDS.index("squat")]
    model.save_pretrained(folder)
    return folder


def test_the_vector_of_a_text_is_the_mean_of_its_words_whatever_stands_beside_it(folder: Path):
    encoder = SentenceEncoder.load(str(folder))
    alone, beside = encoder.embed(["squat"])[0], encoder.embed(["squat", "a person does a serve"])[0]
    assert np.allclose(alone, beside, atol=1e-5) and np.linalg.norm(alone) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(encoder.embed(["genuflect"])[0], alone, atol=1e-5)


def test_words_that_were_never_taught_are_understood_by_what_they_mean(folder: Path):
    names = {label: [Name(text=label, language="en")] for label in ("squat", "serve")}
    taught = {label: label for label in names}
    by_words, by_meaning = (
        Nearest(taught, names, ["en"], *compare) for compare in ((), (SentenceEncoder.load(str(folder)),))
    )
    assert not by_words("genuflect").known
    assert (by_meaning("genuflect").label, by_meaning("genuflect").known) == ("squat", True)
    assert by_meaning("genuflect").score > by_meaning("violin").score


def test_an_encoder_that_is_not_there_or_pickled_is_refused_with_the_setting(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"language\.text_encoder"):
        SentenceEncoder.load(str(tmp_path / "nothing"))
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"\*\.safetensors"):
        SentenceEncoder.load(str(tmp_path))
