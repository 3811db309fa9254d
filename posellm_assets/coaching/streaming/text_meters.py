"""The metrics between one text and one reference: METEOR, ROUGE-L and BERTScore, each as its kept library measures it,
and LLM-Acc, the mark of a language model.

A metric whose library, data or judge is not there is missing: `MissingResource` says what to do. Nothing is put in its
place.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from posellm_assets.endpoint import Endpoint, EndpointError, NotJson
from posellm_assets.records import Record
from posellm_assets.reports.text_metrics import rouge_l_of

Pair = tuple[str, str]
"""A reference, and what was said."""
PROMPT = """You compare what a fitness coach said with the feedback that was due at that moment. Judge the meaning, not
the wording: 5 means the same correction or the same praise, for the same part of the body and the same side; 3 means
partly the same; 1 means something else or the opposite. Answer with the mark alone."""


class MissingResource(RuntimeError):
    """What a metric needs is not here; the message says what to do."""


@dataclass(frozen=True)
class Meter:
    """A metric that is ready: one value for each pair, and what it was measured with."""

    measure: Callable[[Sequence[Pair]], list[float]]
    settings: str


@dataclass(frozen=True)
class BertModel:
    """The model of BERTScore: a local folder of Hugging Face's form, and the layer whose output is compared.

    Without a layer it is the one that bert-score chose for a model of the folder's name, such as 17 for roberta-large,
    with which English results are published.
    """

    folder: Path
    layer: int | None = None


def rouge_l() -> Meter:
    """ROUGE-L F1 (Lin 2004): of English texts the rougeL of rouge-score without a stemmer, and other scripts too."""
    return Meter(lambda pairs: [rouge_l_of(said, reference) for reference, said in pairs], "words in any script")


def meteor() -> Meter:
    """METEOR (Banerjee & Lavie 2005; NLTK's, alpha 0.9, beta 3, gamma 0.5), for English: stems and WordNet synonyms.

    Sentences are parted by Punkt's rules without its trained list of abbreviations. Raises MissingResource without
    NLTK or WordNet.
    """
    try:
        import nltk
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
        from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
        from nltk.translate.meteor_score import single_meteor_score
    except ImportError as error:
        raise MissingResource("METEOR needs NLTK: pip install '.[text-metrics]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of WordNets in other languages, which METEOR has no use for
            wordnet = WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)
    except (LookupError, OSError) as error:
        raise MissingResource(
            "METEOR needs WordNet 3.0 for synonyms: run `python -m nltk.downloader wordnet` where there is a network, "
            "and name the folder that then holds corpora/wordnet in NLTK_DATA"
        ) from error
    sentences, words = PunktSentenceTokenizer(), NLTKWordTokenizer()

    def tokens(text: str) -> list[str]:
        return [word for sentence in sentences.tokenize(text) for word in words.tokenize(sentence)]

    def measure(pairs: Sequence[Pair]) -> list[float]:
        return [single_meteor_score(tokens(reference), tokens(said), wordnet=wordnet) for reference, said in pairs]

    return Meter(measure, f"nltk {version('nltk')}, WordNet {wordnet.get_version()}")


def bertscore(model: BertModel | None) -> Meter:
    """BERTScore F1 (Zhang et al. 2020; bert-score's, not rescaled, without idf) with a local model.

    Raises MissingResource without bert-score or the model, or where the layer to compare is not known.
    """
    if model is None:
        raise MissingResource(
            "BERTScore needs a model: name a local folder, such as one with roberta-large, with which it is published"
        )
    if not (model.folder / "config.json").is_file():
        raise MissingResource(f"BERTScore's model {model.folder} has no config.json: name a folder with a model")
    if not any(model.folder.glob("*.safetensors")):
        raise MissingResource(f"BERTScore's model {model.folder} has no weights in safetensors: take that version")
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingResource("BERTScore needs bert-score: pip install '.[text-metrics]'") from error
    folder = str(model.folder.resolve())
    layer = model.layer or model2layers.get(model.folder.name)
    if layer is None:
        raise MissingResource(f"bert-score knows no layer for a model called {model.folder.name}: name the layer")
    if "t5" in folder and "t5" not in AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type:
        # bert-score goes by the path, and would fill a T5 model with numbers of chance.
        raise MissingResource(f"bert-score takes a model for T5 where its path has t5 in it: move {folder}")
    scorer = BERTScorer(model_type=folder, num_layers=layer, device="cpu")

    def measure(pairs: Sequence[Pair]) -> list[float]:
        if not pairs:
            return []
        references, said = zip(*pairs, strict=True)
        return [float(value) for value in scorer.score(list(said), list(references))[2]]

    return Meter(measure, f"{model.folder.name} layer {layer}, bert-score {version('bert-score')}")


class Mark(Record):
    """What the judge answers."""

    model_config = ConfigDict(strict=True)

    mark: int = Field(ge=1, le=5)


def llm_accuracy(judge: Endpoint) -> Meter:
    """LLM-Acc (QEVD, Panchal et al. 2024): `judge` marks from 1 to 5 how well what was said does for what was due.

    There the answer was sampled and read by a regular expression; here it is asked for at temperature 0 as JSON with
    one integer, so that it repeats. The meter raises MissingResource where the judge does not mark every pair: a mean
    over those that it happened to answer would be another metric.
    """

    def measure(pairs: Sequence[Pair]) -> list[float]:
        return [float(_mark(judge, pair)) for pair in pairs]

    return Meter(measure, f"{judge.config.name}, temperature 0")


def _mark(judge: Endpoint, pair: Pair) -> int:
    said = f"Due: {pair[0]}\nSaid: {pair[1]}"
    try:
        answer = judge.ask(
            [{"role": "system", "content": PROMPT}, {"role": "user", "content": said}],
            Mark.model_json_schema(),
            "mark",
        )
        return Mark.model_validate(answer).mark
    except EndpointError as error:
        raise MissingResource(f"the judge cannot be asked: {error}") from error
    except NotJson as error:
        raise MissingResource(f"the judge {judge.config.name} gave no mark: {error} ({error.text[:80]!r})") from error
    except ValidationError as error:
        raise MissingResource(
            f"the judge {judge.config.name} answered {answer!r} and no mark from 1 to 5: use another model"
        ) from error
