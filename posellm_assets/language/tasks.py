"""The examples that are made of clips: a prefix without loss, an answer with loss.

The tasks, in their compact prompt form (no chat template, no separators):

    motion        <T2M> <MOT_BEGIN>                                              -> codes <MOT_END>
    t2m           <T2M> text <MOT_BEGIN>                                         -> codes <MOT_END>
    m2t           <M2T> <MOT_BEGIN> codes <MOT_END>                              -> text end-of-text
    denoise       <DENOISE> <MOT_BEGIN> masked codes <MOT_END> <MOT_BEGIN>       -> codes <MOT_END>
    continuation  <CONTINUATION> <MOT_BEGIN> first codes                         -> the other codes <MOT_END>
    between       <BETWEEN> <MOT_BEGIN> first <MOTION_MASK> last codes <MOT_END> <MOT_BEGIN>
                                                                                 -> the codes between <MOT_END>

After `<T2M>` the marker of a participant may stand. The text of t2m is a text of the clip, or what somebody types who
asks for its movement; a label that is known stands in front as often as not, as `Taught.asked` puts it. An example that
does not fit a row is split into windows of its motion, between two time steps; it is never cut off.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from posellm_assets.language.clips import TrainingClip, UnusableData, View
from posellm_assets.language.config import StageConfig, Task
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.texts.phrasings import dropped, phrased, typed

MIN_CODES = 8
_PARTICIPANT_SHARE = 0.5
_PHRASED_SHARE = 0.5
_NAMED_SHARE = 0.5
_WITH_TEXT = ("t2m", "m2t")
# A continuation needs a step to go on from and one to answer, an in-between one more.
_MIN_STEPS = {"continuation": 2, "between": 3}


@dataclass(frozen=True)
class TokenExample:
    """Token ids of one training example; the loss is on `answer` only."""

    key: str
    prefix: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.answer)


def fit_texts(
    clips: Sequence[TrainingClip], vocabulary: Vocabulary, row_tokens: int
) -> tuple[list[TrainingClip], list[str]]:
    """The clips without the texts that cannot be trained on, and a sentence for each text left out.

    Left out are texts that leave no room for motion in a row, and those that tell facts of a motion of which a row
    holds a part only, because they are not true of the part.
    """
    kept, left_out = [], []
    for clip in clips:
        views = []
        for view in clip.views:
            whole = set(view.texts) - set(view.texts if view.texts_of_parts is None else view.texts_of_parts)
            texts = []
            for text in view.texts:
                room = _room("t2m", vocabulary, view.description(text), row_tokens, view.question)
                if room < MIN_CODES:
                    left_out.append(
                        f"{clip.key}: a text of {len(vocabulary.encode_text(text))} tokens ({text[:40]!r}...) is too "
                        f"long for rows of {row_tokens}; shorten it or raise row_tokens"
                    )
                elif text in whole and room < len(view.codes):
                    left_out.append(
                        f"{clip.key}: {text[:40]!r}... tells of a motion of {len(view.codes)} codes, of which rows of "
                        f"{row_tokens} hold parts; raise row_tokens to train on it"
                    )
                else:
                    texts.append(text)
            views.append(dataclasses.replace(view, texts=tuple(texts)))
        kept.append(dataclasses.replace(clip, views=tuple(views)))
    return kept, sorted(set(left_out))


def draw_epoch(
    clips: Sequence[TrainingClip], stage: StageConfig, vocabulary: Vocabulary, generator: random.Random
) -> list[TokenExample]:
    """One pass over the clips: for each a variant, one of its texts and a task, all drawn afresh.

    A view takes the stage's tasks that it can serve (`serves`); where the stage has none of those, it is not used. Half
    of the motions of a known participant are asked for with the participant's marker.
    """
    examples = []
    for clip in clips:
        view = generator.choice(clip.views)
        shares = {
            task: share
            for task, share in stage.tasks.items()
            if share and serves(view, task, vocabulary.codes_per_step)
        }
        if not shares:
            continue
        task = generator.choices(list(shares), list(shares.values()))[0]
        text = generator.choice(view.texts) if task in _WITH_TEXT else ""
        if task == "t2m":
            text = _asked(view, text, vocabulary, stage.row_tokens, generator)
        elif task == "m2t":
            text = view.description(text)
        known = clip.participant in vocabulary.participants
        who = clip.participant if known and generator.random() < _PARTICIPANT_SHARE else None
        examples += build(
            task,
            clip.key,
            view.codes,
            text,
            vocabulary,
            stage.row_tokens,
            stage.mask_rate,
            generator,
            who,
            view.question,
        )
    return examples


def _asked(view: View, text: str, vocabulary: Vocabulary, row_tokens: int, generator: random.Random) -> str:
    """What somebody types who asks for this motion: `text`, or a way to ask for its movement; `text` as it is where
    that leaves less room than the motion takes."""
    asked = text
    if view.names and generator.random() < _PHRASED_SHARE:
        asked = phrased(generator.choice(view.names), generator)
    asked = typed(asked, generator)
    if view.label and generator.random() < _NAMED_SHARE:
        asked = named_prompt(view.label, dropped(asked, generator))
    return asked if _room("t2m", vocabulary, asked, row_tokens) >= len(view.codes) else text


def named_prompt(label: str, text: str) -> str:
    """A prompt with the label that it is taken for in front, once."""
    named = text.casefold()
    return text if named == label.casefold() or named.startswith(f"{label.casefold()}:") else f"{label}: {text}"


def serves(view: View, task: Task, codes_per_step: int) -> bool:
    """Whether a view has what the task needs: a text, or enough time steps to take some away."""
    if task in _WITH_TEXT:
        return bool(view.texts)
    return len(view.codes) // codes_per_step >= _MIN_STEPS.get(task, 1)


def build(
    task: Task,
    key: str,
    codes: Sequence[int],
    text: str,
    vocabulary: Vocabulary,
    row_tokens: int,
    mask_rate: float = 0.0,
    generator: random.Random | None = None,
    participant: str | None = None,
    question: str = "",
) -> list[TokenExample]:
    """The examples of one task on one motion: one, or one per window where the motion is too long for a row.

    `generator` draws what is masked, continued or left out; the default draws the same each time. The text of m2t may
    answer a `question`. Raises UnusableData where the text leaves no room for motion.
    """
    room = _room(task, vocabulary, text, row_tokens, question if task == "m2t" else "")
    if room < vocabulary.codes_per_step:
        raise UnusableData(f"{key}: the text {text[:40]!r}... fills a row of {row_tokens} tokens; shorten it")
    generator = generator or random.Random(0)
    examples = []
    for window in windows(codes, room, vocabulary.codes_per_step):
        motion = vocabulary.encode_codes(window)
        answer = [*motion, vocabulary.end]
        if task == "m2t":
            prefix, answer = (
                m2t_prefix(window, vocabulary, question),
                [*vocabulary.encode_text(text), vocabulary.end_of_text],
            )
        elif task == "denoise":
            prefix = _denoise_prefix(motion, mask_rate, vocabulary, generator)
        elif task == "continuation":
            start = vocabulary.codes_per_step * _part(len(window) // vocabulary.codes_per_step, 0.25, 0.75, generator)
            prefix, answer = continuation_prefix(window[:start], vocabulary), answer[start:]
        elif task == "between":
            steps = len(window) // vocabulary.codes_per_step
            gap = _part(steps - 1, 0.2, 0.5, generator)
            start = generator.randint(1, steps - gap - 1) * vocabulary.codes_per_step
            stop = start + gap * vocabulary.codes_per_step
            prefix = between_prefix(window[:start], window[stop:], vocabulary)
            answer = [*motion[start:stop], vocabulary.end]
        else:
            prefix = t2m_prefix(text, vocabulary, participant)
        examples.append(TokenExample(key, prefix, answer))
    return examples


def t2m_prefix(text: str, vocabulary: Vocabulary, participant: str | None = None) -> list[int]:
    """The ids that ask for a motion, in the manner of `participant` where one is named; an empty text asks for any.

    Raises ValueError for a participant that the vocabulary has no marker for.
    """
    who = [] if participant is None else [vocabulary.participant(participant)]
    return [*vocabulary.start, vocabulary.t2m, *who, *vocabulary.encode_text(text), vocabulary.begin]


def m2t_prefix(codes: Sequence[int], vocabulary: Vocabulary, question: str = "") -> list[int]:
    """The ids that ask for the text of a motion, or for the answer to a question about it."""
    asked = [*vocabulary.start, vocabulary.m2t, *(vocabulary.encode_text(question) if question else [])]
    return [*asked, vocabulary.begin, *vocabulary.encode_codes(codes), vocabulary.end]


def continuation_prefix(codes: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The ids that ask how a motion goes on."""
    return [*vocabulary.start, vocabulary.continuation, vocabulary.begin, *vocabulary.encode_codes(codes)]


def between_prefix(first: Sequence[int], last: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The ids that ask what comes between two pieces of a motion."""
    before, after = vocabulary.encode_codes(first), vocabulary.encode_codes(last)
    shown = [vocabulary.begin, *before, vocabulary.mask, *after, vocabulary.end]
    return [*vocabulary.start, vocabulary.between, *shown, vocabulary.begin]


def _denoise_prefix(
    motion: Sequence[int], mask_rate: float, vocabulary: Vocabulary, generator: random.Random
) -> list[int]:
    hidden = [vocabulary.mask if generator.random() < mask_rate else token for token in motion]
    shown = [vocabulary.begin, *hidden, vocabulary.end]
    return [*vocabulary.start, vocabulary.denoise, *shown, vocabulary.begin]


def _part(steps: int, least: float, most: float, generator: random.Random) -> int:
    """Some of `steps`, at least one and not all: a share between `least` and `most`."""
    return min(max(1, round(generator.uniform(least, most) * steps)), steps - 1)


def windows(codes: Sequence[int], room: int, codes_per_step: int = 1) -> list[Sequence[int]]:
    """`codes` cut between time steps of `layers` codes, into as few windows of at most `room` codes as will do, of
    nearly equal length."""
    steps = len(codes) // codes_per_step
    count = math.ceil(steps / (room // codes_per_step))
    bounds = [round(index * steps / count) * codes_per_step for index in range(count + 1)]
    return [codes[start:stop] for start, stop in itertools.pairwise(bounds)]


def _room(task: Task, vocabulary: Vocabulary, text: str, row_tokens: int, question: str = "") -> int:
    """How many codes fit beside everything else of an example."""
    markers = len(vocabulary.start) + 6
    if task == "denoise":
        return (row_tokens - markers) // 2
    asked = vocabulary.encode_text(question) if question else []
    return row_tokens - markers - len(vocabulary.encode_text(text)) - len(asked)
