"""From a text, or from clips, to motions, with the released model. Loads torch; only the command line imports this."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posellm_assets.commands.loaded import evaluator, language_model, motion_tokenizer
from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.files import write_json
from posellm_assets.generations.releases import Release, required
from posellm_assets.keys import check_video_key
from posellm_assets.lake import METRICS, Lake
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.sampling import LengthControl
from posellm_assets.motion.formats import WRITTEN_ENDINGS, write_motion
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES, motion_to_json
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.settings import Settings

TRUSTED = 0.5
"""Share of held-out real motion whose movement an evaluator must know, or its word is doubted."""
DRAWN = 4
"""A model that is drawn from once makes another movement one time in eight."""


@dataclass(frozen=True)
class Request:
    """What to generate: a `text`, or instead of one the keys of one clip of the lake that is gone on from, or of two
    between which is filled in (`ends`).

    `samples` motions are drawn, the first from `seed`, the next from `seed + 1`; with `best` one of them is kept: the
    one that the evaluator finds nearest to what is asked for. Where nobody says how many, a text has the best of
    `DRAWN`, as far as there is an evaluator to tell. Without `duration_s` motions are about as long as the
    training motions of what the text is nearest to; with `ends` it is the duration of what is added. `strict` refuses a
    text that nothing in the training is like.
    """

    text: str | None = None
    ends: Sequence[str] = ()
    participant: str | None = None
    seed: int = 0
    samples: int | None = None
    best: bool = False
    duration_s: float | None = None
    strict: bool = False

    @property
    def drawn(self) -> int:
        """How many motions are drawn."""
        return self.samples or (DRAWN if self.text is not None else 1)

    @property
    def keeps_best(self) -> bool:
        """Whether one of those that are drawn is kept."""
        return self.best or (self.samples is None and self.text is not None)

    @property
    def title(self) -> str:
        """What stands above a picture."""
        return self.text or " ... ".join(self.ends)

    def files(self, out: Path) -> list[Path]:
        """What is written for `out`: pictures hold several motions, of what holds one there is a file for each."""
        kept = 1 if self.keeps_best else self.drawn
        if kept == 1 or out.suffix in PICTURES:
            return [out]
        return [out.with_stem(f"{out.stem}-{number}") for number in range(1, kept + 1)]

    def check(self) -> None:
        """Raise ValueError where this cannot be asked for."""
        if (self.text is None) == (not self.ends) or len(self.ends) > 2:
            raise ValueError("say what to generate: a text, or --continue KEY, or --between KEY KEY")
        if self.text is not None and not self.text.strip():
            raise ValueError("the text is empty: say which movement to generate")
        if self.ends and self.participant:
            raise ValueError("a participant goes with a text; a clip says itself how somebody moves")
        if self.best and (self.ends or self.samples == 1):
            raise ValueError("--best keeps one of several motions for a text: give a text and --samples, at least 2")


@dataclass(frozen=True)
class Made:
    """A generated motion: its codes, the seed that it was drawn from, and the movement that the evaluator takes it for
    with its probability; None where there is no evaluator that knows two movements."""

    codes: Sequence[int]
    motion: Motion
    seed: int
    taken_for: str | None = None
    probability: float | None = None

    def told(self, asked: str) -> str:
        """A sentence about it, as the answer to what was `asked` for."""
        taken = f", which the evaluator takes for {self.taken_for} ({self.probability:.2f})" if self.taken_for else ""
        return f"{self.motion.duration_s:.1f} s of motion for {asked}{taken}"


@dataclass(frozen=True)
class Generated:
    """What came of a request: the motions that were written, what the model was asked for, a warning where nothing in
    its training is like the text, and another where the evaluator's word says little ('' where it says something);
    `label` is the taught movement that a text is nearest to."""

    made: Sequence[Made]
    asked: str
    label: str | None = None
    warning: str = ""
    doubt: str = ""


class NothingLike(ValueError):
    """A strict request for what the model never learned."""


def generate_motions(lake: Lake, settings: Settings, request: Request, out: Path | None = None) -> Generated:
    """Generate what `request` says with the released model, and write it to `out` where that is given.

    A clip or GIF shows several motions side by side; of the endings that hold one motion (`.json` with joints and
    codes, and those of `write_motion`), several motions are files with a number each: x-1.bvh, x-2.bvh. Raises
    NothingLike where a strict request is like nothing in the training, and ValueError where `out` ends in something
    else, nothing has been released yet, or the model cannot do what is asked.
    """
    request.check()
    if out is not None and out.suffix not in (*WRITTEN_ENDINGS, ".json"):
        raise ValueError(f"{out}: a motion is written as {', '.join(WRITTEN_ENDINGS)} or .json")
    champion = required(lake, "language")
    given = [_stretches(lake, champion.lineage, key) for key in request.ends]
    model = language_model(champion.path(lake), settings.language.text_encoder)
    asked, warning, label = request.title, "", None
    if request.text is not None:
        asked, warning = model.taught.asked(request.text), _warning(model, request.text)
        label = model.taught.near(request.text).label
        if warning and request.strict:
            raise NothingLike(warning)
    tokenizer = motion_tokenizer(lake.tokenizer(champion.lineage))
    rows = _rows(model, tokenizer, settings, request, given)
    motions = tokenizer.decode_many(rows)
    made = [
        Made(codes, motion, request.seed + at) for at, (codes, motion) in enumerate(zip(rows, motions, strict=True))
    ]
    made = _judged(lake, champion, model, request, made)
    if out is not None:
        write_motions(made, request, champion, asked, out)
    return Generated(made, asked, label, warning, _doubt(lake, champion) if made[0].taken_for else "")


def write_motions(made: Sequence[Made], request: Request, champion: Release, asked: str, out: Path) -> None:
    """Write what was made, as `generate_motions` says it."""
    if out.suffix in PICTURES:
        PICTURES[out.suffix]([one.motion for one in made], out, [request.title] * len(made))
        return
    for path, one in zip(request.files(out), made, strict=True):
        if out.suffix == ".json":
            write_json(path, _provenance(request, champion, asked, one))
        else:
            write_motion(one.motion, path, request.title)


def _rows(
    model: MotionLM,
    tokenizer: MotionTokenizer,
    settings: Settings,
    request: Request,
    given: Sequence[Sequence[Sequence[int]]],
) -> list[list[int]]:
    """The codes of each motion; `given` are the stretches of each clip of `request.ends`."""
    samples, seed, sampling = request.drawn, request.seed, settings.language.sampling
    lengths = None
    if request.duration_s is not None:
        steps = max(1, round(request.duration_s * tokenizer.fps / tokenizer.frames_per_step))
        lengths = [LengthControl(steps, steps, steps)] * samples
    if request.text is not None:
        people = [request.participant] * samples
        return model.motion_from_text([request.text] * samples, seed, sampling, lengths, people)
    if len(given) == 1:
        before = given[0][-1]
        return [[*before, *row] for row in model.continue_motion([before] * samples, seed, sampling, lengths)]
    before, after = given[0][-1], given[1][0]
    return [[*before, *row, *after] for row in model.between([(before, after)] * samples, seed, sampling, lengths)]


def _warning(model: MotionLM, text: str) -> str:
    """That nothing in the training is like `text`, and what is in it; '' where something is like it."""
    if model.taught.near(text).known:
        return ""
    known = sorted(model.taught.movements) or sorted(model.taught.texts)[:10]
    return f"nothing that this model learned is like {text!r}; it knows: {', '.join(known)}"


def _doubt(lake: Lake, champion: Release) -> str:
    """Why the evaluator's word says little of this generation; '' where it knows most held-out real motion."""
    folder = lake.report(champion.name)
    real = MeasuredFigures.read(folder).figures.get("recognised_real") if (folder / METRICS).is_file() else None
    if real is None:
        return "on how much real motion the evaluator is right was not measured"
    if real.value >= TRUSTED:
        return ""
    right = f"{round(real.value * real.n)} of {real.n} held-out real motions"
    return f"the evaluator is right about {right}, so its word says little: look at the motion, or add footage"


def _judged(lake: Lake, champion: Release, model: MotionLM, request: Request, made: Sequence[Made]) -> list[Made]:
    """`made`, each with what the evaluator takes it for; of a request for the best that one alone.

    Raises ValueError where the best is asked for and nothing can tell which it is.
    """
    labels, folder = sorted(model.taught.movements), lake.evaluator(champion.name)
    if not folder.is_dir() or len(labels) < 2:
        if request.best:
            why = f"{folder} holds no evaluator" if not folder.is_dir() else "the model knows fewer than two movements"
            raise ValueError(f"{why}, so nothing can tell which motion is best: leave --best out")
        return list(made[:1] if request.keeps_best else made)
    judge = evaluator(folder)
    motions = [one.motion for one in made]
    probabilities = judge.probabilities(motions, labels)
    judged = [
        replace(one, taken_for=labels[int(row.argmax())], probability=float(row.max()))
        for one, row in zip(made, probabilities, strict=True)
    ]
    if not request.keeps_best or request.text is None:
        return judged
    near = model.taught.near(request.text)
    if near.known and near.label in labels:
        fit = probabilities[:, labels.index(near.label)]
    else:
        fit = judge.similarity(motions, [request.text])[:, 0]
    return [judged[int(np.argmax(fit))]]


def _provenance(request: Request, champion: Release, asked: str, made: Made) -> dict[str, object]:
    """What a JSON file says of a motion, with its joints and codes."""
    return {
        "text": request.text,
        "asked": asked,
        "clips": list(request.ends),
        "participant": request.participant,
        "seed": made.seed,
        "snapshot": champion.name,
        "lineage": champion.lineage,
        "taken_for": made.taken_for,
        "probability": made.probability,
        "codes": list(made.codes),
        "motion": motion_to_json(made.motion),
    }


def _stretches(lake: Lake, lineage: str, key: str) -> list[list[int]]:
    """The codes of each stretch of a clip as it was filmed; FileNotFoundError where it has none."""
    path = lake.motion_tokens(lineage, check_video_key(key))
    if not path.exists():
        raise FileNotFoundError(f"{key} has no tokens of {lineage}, which the released model uses: {path}")
    return MotionTokens.read(path).originals
