"""How near a coach's words come to the feedback that was due at that time: METEOR, ROUGE-L, BERTScore and LLM-Acc.

QEVD (Panchal et al. 2024) gives their means over the pairs that match in time. That rewards silence: one sentence in
the right place and nothing else has the highest marks. Beside each published mean stands one that is weighted by
coverage, to which a reference that nothing matched counts 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from posellm_assets.coaching.streaming.scores import TOLERANCE_S, Session, match_best, match_greedily
from posellm_assets.coaching.streaming.text_meters import (
    BertModel,
    Meter,
    MissingResource,
    Pair,
    bertscore,
    llm_accuracy,
    meteor,
    rouge_l,
)
from posellm_assets.endpoint import Endpoint
from posellm_assets.reports.metrics import SHARE, Figure, average

NOTHING_MATCHED = "no message matches a reference in time, and the published mean is over matched pairs alone"
NO_JUDGE = "no judge is configured: name an OpenAI-compatible endpoint and a model"
NO_REFERENCES = "no session has a reference"
# Between what each metric can be; a reference that nothing matched counts 0.
LIMITS = {"meteor": SHARE, "rouge_l": SHARE, "bertscore": (-1.0, 1.0), "llm_acc": (0.0, 5.0)}


@dataclass(frozen=True)
class TextFigures:
    """What was measured of one coach, or of one baseline.

    `figures` holds for each metric of meteor, rouge_l, bertscore and llm_acc

    - `<metric>_published`: the mean over pairs matched as `match_greedily` does; n is the pairs,
    - `<metric>_covered`: the mean over all references, a reference without a pair of `match_best` being 0; n is the
      references. Silence has 0 here.

    The first three are shares from 0 to 1 (BERTScore, not rescaled, may fall below 0), llm_acc is a mark from 1 to 5.
    The 95 % intervals are from the spread between sessions, as what is said within one is not independent; a single
    session gives none. `absent` says of each figure that is missing why, and what to do. `settings` says for each
    metric with what it was measured: figures of different settings cannot be compared.
    """

    figures: dict[str, Figure] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


def text_figures(
    rows: Mapping[str, Sequence[Session]],
    bert: BertModel | None = None,
    judge: Endpoint | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> dict[str, TextFigures]:
    """The text metrics of each row of a report, such as a coach and its baselines on the same sessions.

    Args:
        rows: sessions by the name of who spoke in them.
        bert: the model of BERTScore; None leaves BERTScore out, and says so.
        judge: the endpoint that marks pairs for LLM-Acc; None leaves it out, and says so.
        tolerance_s: of the matching in time.
    """
    pairs = sorted({pair for sessions in rows.values() for pair in _pairs(sessions, tolerance_s)})
    makers: dict[str, Callable[[], Meter]] = {
        "meteor": meteor,
        "rouge_l": rouge_l,
        "bertscore": lambda: bertscore(bert),
        "llm_acc": lambda: _judging(judge),
    }
    values: dict[str, dict[Pair, float]] = {}
    settings: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            meter = make()
            values[name] = dict(zip(pairs, meter.measure(pairs), strict=True))
            settings[name] = meter.settings
        except MissingResource as error:
            missing[name] = str(error)
    found = {}
    for row, sessions in rows.items():
        found[row] = TextFigures(settings=settings)
        for name, reason in missing.items():
            found[row].absent.update({f"{name}_published": reason, f"{name}_covered": reason})
        for name in values:
            _add(found[row], name, sessions, values[name], tolerance_s)
    return found


def _add(row: TextFigures, name: str, sessions: Sequence[Session], value: Mapping[Pair, float], tol_s: float) -> None:
    published = [[value[pair] for pair in _matched(session, match_greedily, tol_s)] for session in sessions]
    covered = [[value[pair] for pair in _matched(session, match_best, tol_s)] for session in sessions]
    for matched, alone in zip(covered, sessions, strict=True):
        matched += [0.0] * (len(alone.references) - len(matched))
    for figure, of_sessions, reason in (
        (f"{name}_published", published, NOTHING_MATCHED),
        (f"{name}_covered", covered, NO_REFERENCES),
    ):
        spoken = [values for values in of_sessions if values]
        if spoken:
            row.figures[figure] = _mean(spoken, LIMITS[name])
        else:
            row.absent[figure] = reason


def _mean(of_sessions: Sequence[Sequence[float]], limits: tuple[float, float]) -> Figure:
    """The mean of all values, with the interval of a mean over sessions that have so many values each."""
    sizes = [len(values) for values in of_sessions]
    figure = average([sum(values) / len(values) for values in of_sessions], sizes, limits)
    return figure.model_copy(update={"n": sum(sizes)})


def _pairs(sessions: Iterable[Session], tolerance_s: float) -> Iterable[Pair]:
    for session in sessions:
        for match in (match_greedily, match_best):
            yield from _matched(session, match, tolerance_s)


def _matched(session: Session, match: Callable[..., list[tuple[int, int]]], tolerance_s: float) -> list[Pair]:
    pairs = match(session.references, session.said, tolerance_s)
    return [(session.references[index].text, session.said[place].text) for index, place in pairs]


def _judging(judge: Endpoint | None) -> Meter:
    if judge is None:
        raise MissingResource(NO_JUDGE)
    return llm_accuracy(judge)
