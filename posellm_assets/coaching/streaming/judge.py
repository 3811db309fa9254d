"""LLM-Acc: a language model marks from 1 to 5 how well what was said does for what should have been said.

As in QEVD (Panchal et al. 2024), with any judge behind an OpenAI-compatible endpoint. There the answer was sampled and
read by a regular expression; here it is asked for at temperature 0 as JSON with one integer, so that it repeats.
"""

from collections.abc import Sequence

from pydantic import ConfigDict, Field, ValidationError

from posellm_assets.coaching.streaming.text_meters import Meter, MissingResource, Pair
from posellm_assets.endpoint import Endpoint, EndpointError, NotJson
from posellm_assets.records import Record

PROMPT = """You compare what a fitness coach said with the feedback that was due at that moment. Judge the meaning, not
the wording: 5 means the same correction or the same praise, for the same part of the body and the same side; 3 means
partly the same; 1 means something else or the opposite. Answer with the mark alone."""


class Mark(Record):
    """What the judge answers."""

    model_config = ConfigDict(strict=True)

    mark: int = Field(ge=1, le=5)


def llm_accuracy(judge: Endpoint) -> Meter:
    """The judge as a meter. It raises MissingResource where the judge does not mark every pair: a mean over those that
    it happened to answer would be another metric."""

    def measure(pairs: Sequence[Pair]) -> list[float]:
        return [float(_mark(judge, pair)) for pair in pairs]

    return Meter(measure, f"{judge.config.name}, temperature 0")


def _mark(judge: Endpoint, pair: Pair) -> int:
    said = f"Due: {pair[0]}\nSaid: {pair[1]}"
    try:
        answer = judge.ask(
            [{"role": "system", "content": PROMPT}, {"role": "user", "content": said}], Mark.model_json_schema(), "mark"
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
