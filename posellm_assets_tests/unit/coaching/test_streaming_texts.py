"""The text metrics of timed messages: cases worked by hand, and neither silence nor a missing resource earns a mark."""

import json
from pathlib import Path

import pytest

from posellm_assets.coaching.streaming.scores import Message, Session, silence
from posellm_assets.coaching.streaming.text_meters import BertModel, MissingResource, bertscore, meteor
from posellm_assets.coaching.streaming.texts import text_figures
from posellm_assets.endpoint import Endpoint, EndpointConfig
from posellm_assets.reports.text_metrics import rouge_l_of
from posellm_assets_tests.endpoint_server import endpoint, refuses, says


def session(references: dict[float, str], said: dict[float, str]) -> Session:
    of = [tuple(Message(time, text) for time, text in messages.items()) for messages in (references, said)]
    return Session(of[0], of[1], 60)


@pytest.fixture
def no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [])


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A WordNet of one set of synonyms, in the form of the real one: to bend is to flex."""
    folder = tmp_path / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for kind in ("noun", "verb", "adj", "adv"):
        for name in (f"data.{kind}", f"index.{kind}", f"{kind}.exc"):
            (folder / name).write_text("")
    (folder / "data.adj").write_text("  1 WordNet 3.0 Copyright 2006 by Princeton University.\n")
    (folder / "data.verb").write_text("00000000 30 v 02 bend 0 flex 0 000 00 | form a curve\n")
    (folder / "index.verb").write_text("bend v 1 0 1 0 00000000  \nflex v 1 0 1 0 00000000  \n")
    (folder / "index.sense").write_text("bend%2:30:00:: 00000000 1 0\nflex%2:30:00:: 00000000 1 0\n")
    (folder / "cntlist.rev").write_text("")
    (folder / "lexnames").write_text("".join(f"{number:02d}\tverb.x{number}\t2\n" for number in range(45)))
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    return tmp_path


def test_meteor_by_hand(wordnet: Path) -> None:
    """Three of three words match in one run: flex by synonym, your as it is, knee by stem. Penalty 0.5 (1/3)^3.

    Then both words in the wrong order: two runs of two matches, penalty 0.5. Then 1 of 2 said, of 1 wanted: precision
    1/2, recall 1, mean 0.5 / (0.9 x 0.5 + 0.1 x 1), one run of one match, penalty 0.5.
    """
    pairs = [("bend your knees", "flex your knee"), ("knees out", "Out knees"), ("deeper", "deeper please"), ("a", "b")]
    expected = [1 - 0.5 / 27, 0.5, 0.5 / 0.55 * 0.5, 0.0]
    assert meteor().measure(pairs) == pytest.approx(expected)
    assert meteor().settings.endswith("WordNet 3.0")


def test_without_wordnet_meteor_is_missing_and_says_what_to_do(no_wordnet: None) -> None:
    found = text_figures({"coach": [session({5: "knees out"}, {5: "knees out"})]})["coach"]
    assert "rouge_l_published" in found.figures and not [name for name in found.figures if "meteor" in name]
    assert "nltk.downloader wordnet" in found.absent["meteor_published"] == found.absent["meteor_covered"]
    assert "local folder" in found.absent["bertscore_covered"] and "endpoint" in found.absent["llm_acc_covered"]


def test_published_means_are_over_greedy_pairs_and_covered_ones_over_all_references(no_wordnet: None) -> None:
    """References at 10 and 11 s, messages at 10.9 and 12.2 s: one greedy pair, two of the best matching.

    ROUGE-L of the greedy pair: both words of two said, of two: 1. The second best pair shares one word of two and one:
    2 x 1 / 3. A third reference, at 30 s, stays alone.
    """
    one = session({10: "knees out", 11: "deeper", 30: "chest up"}, {10.9: "knees out", 12.2: "deeper now"})
    found = text_figures({"coach": [one]})["coach"].figures
    assert (found["rouge_l_published"].value, found["rouge_l_published"].n) == (1.0, 1)
    assert found["rouge_l_covered"].value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["rouge_l_covered"].n == 3


def test_silence_has_nothing_of_the_published_means_and_zero_of_the_covered_ones(wordnet: Path) -> None:
    spoken = session({5: "knees out", 20: "chest up", 40: "deeper"}, {5: "knees out"})
    found = text_figures({"one word": [spoken], "silence": [silence(spoken)]})
    for metric, full in (("rouge_l", 1.0), ("meteor", 1 - 0.5 / 8)):
        assert found["one word"].figures[f"{metric}_published"].value == full
        assert found["one word"].figures[f"{metric}_covered"].value == pytest.approx(full / 3)
        assert found["silence"].figures[f"{metric}_covered"].value == 0
        assert found["silence"].figures[f"{metric}_covered"].n == 3
        assert "matches a reference" in found["silence"].absent[f"{metric}_published"]


def test_a_session_counts_by_its_references_and_the_interval_is_of_the_spread_between_sessions(
    no_wordnet: None,
) -> None:
    good = session({5: "knees out", 20: "chest up", 40: "deeper"}, {5: "knees out", 20: "chest up", 40: "deeper"})
    figure = text_figures({"coach": [good, session({5: "slower"}, {})]})["coach"].figures["rouge_l_covered"]
    assert (figure.value, figure.n) == (3 / 4, 4)
    assert figure.interval is not None and figure.interval[0] < 3 / 4 < figure.interval[1]


def test_rouge_l_is_that_of_the_library_that_results_are_published_with() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    texts = ["Knees out!", "Push your knees out over your toes.", "Don't let the left knee fall in", "Chest up", "up 2"]
    for reference in texts:
        for said in texts:
            assert rouge_l_of(said, reference) == pytest.approx(scorer.score(reference, said)["rougeL"].fmeasure)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers that has learned nothing, with a vocabulary of a few words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "knees", "out", "chest", "up", "deeper"]
    tokens = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokens.normalizer, tokens.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=32, **names).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(folder)
    return folder


def test_bertscore_is_the_greedy_cosine_of_the_layers_words(bert: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)

    def words(text: str) -> torch.Tensor:
        hidden = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[1][0]
        return torch.nn.functional.normalize(hidden, dim=1)

    with torch.no_grad():
        cosines = words("knees out deeper") @ words("chest up").T
    # The marks at both ends can be found, but have no weight of their own.
    precision, recall = cosines.max(1).values[1:-1].mean(), cosines.max(0).values[1:-1].mean()
    found = bertscore(BertModel(bert, layer=1))
    expected = float(2 * precision * recall / (precision + recall))
    assert found.measure([("chest up", "knees out deeper"), ("up", "up")]) == pytest.approx([expected, 1.0], abs=1e-5)
    assert found.settings.startswith("tiny-bert layer 1, bert-score")


def test_a_model_that_bertscore_cannot_use_is_missing_with_the_reason(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="name the layer"):
        bertscore(BertModel(bert))
    with pytest.raises(MissingResource, match=r"no config\.json"):
        bertscore(BertModel(tmp_path / "nowhere", 1))
    disguised = tmp_path / "t5x"
    disguised.mkdir()
    (disguised / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(MissingResource, match="no weights in safetensors"):
        bertscore(BertModel(disguised, 1))
    (disguised / "model.safetensors").touch()
    with pytest.raises(MissingResource, match="move"):
        bertscore(BertModel(disguised, 1))


def test_llm_acc_is_the_mean_of_the_judges_marks_and_silence_has_none(no_wordnet: None) -> None:
    spoken = session({5: "knees out", 20: "chest up", 40: "deeper"}, {5: "push them out", 20: "lift your chest"})
    with endpoint(says({"mark": 5}), says({"mark": 2})) as served:
        judge = Endpoint(EndpointConfig(url=served.url, model="judge"))
        found = text_figures({"coach": [spoken], "silence": [silence(spoken)]}, judge=judge)
    assert [request["temperature"] for request in served.requests] == [0, 0]
    asked = served.requests[0]["response_format"]["json_schema"]["schema"]
    assert asked["properties"]["mark"]["type"] == "integer"
    assert "Due: chest up\nSaid: lift your chest" in served.requests[0]["messages"][1]["content"]
    assert found["coach"].figures["llm_acc_published"].value == 3.5
    assert found["coach"].figures["llm_acc_covered"].value == pytest.approx(7 / 3)
    assert found["silence"].figures["llm_acc_covered"].value == 0


@pytest.mark.parametrize("answer", [says({"mark": 7}), says({"mark": "5"}), says("I say 4"), refuses(401)])
def test_a_judge_that_does_not_mark_every_pair_leaves_the_metric_missing(answer, no_wordnet: None) -> None:
    spoken = session({5: "knees out"}, {5: "push them out"})
    with endpoint(answer) as served:
        judge = Endpoint(EndpointConfig(url=served.url, model="judge"))
        found = text_figures({"coach": [spoken]}, judge=judge)["coach"]
    assert "judge" in found.absent["llm_acc_published"] and "llm_acc_covered" not in found.figures
    assert "rouge_l_published" in found.figures
