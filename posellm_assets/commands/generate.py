"""From a text, or from clips, to motions, with the released model. Loads torch; only the command line imports this."""

from collections.abc import Sequence
from pathlib import Path

from posellm_assets.checksums import check_model
from posellm_assets.files import write_json
from posellm_assets.generations.releases import required
from posellm_assets.keys import check_video_key
from posellm_assets.lake import Lake
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.sampling import LengthControl
from posellm_assets.motion.formats import WRITTEN_ENDINGS, write_motion
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import PICTURES, motion_to_json
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.settings import Settings


def generate_motions(
    lake: Lake,
    settings: Settings,
    text: str | None,
    out: Path,
    seed: int,
    samples: int = 1,
    duration_s: float | None = None,
    participant: str | None = None,
    ends: Sequence[str] = (),
) -> list[Motion]:
    """Generate `samples` motions for `text`, the first from `seed`, the next from `seed + 1`, and write them to `out`.

    Instead of a text, `ends` names one clip of the lake, which is gone on from, or two, between which is filled in; the
    motions then hold what is given too, and `duration_s` is that of what is added.

    A clip or GIF shows them side by side; of the endings that hold one motion (`.json` with joints and codes, and those
    of `write_motion`), several motions are files with a number each: x-1.bvh, x-2.bvh. Without `duration_s` they are
    about as long as the training motions of the text. Raises ValueError where `out` ends in something else, nothing has
    been released yet, or the model cannot do what is asked.
    """
    if (text is None) == (not ends) or len(ends) > 2:
        raise ValueError("say what to generate: a text, or --continue KEY, or --between KEY KEY")
    if text is not None and not text.strip():
        raise ValueError("the text is empty: say which movement to generate")
    if ends and participant:
        raise ValueError("a participant goes with a text; a clip says itself how somebody moves")
    if out.suffix not in (*WRITTEN_ENDINGS, ".json"):
        raise ValueError(f"{out}: a motion is written as {', '.join(WRITTEN_ENDINGS)} or .json")
    champion = required(lake, "language")
    given = [_stretches(lake, champion.lineage, key) for key in ends]
    model = MotionLM.load(check_model(champion.path(lake)))
    tokenizer = MotionTokenizer.load(check_model(lake.tokenizer(champion.lineage)))
    lengths = None
    if duration_s is not None:
        steps = max(1, round(duration_s * tokenizer.fps / tokenizer.frames_per_step))
        lengths = [LengthControl(steps, steps, steps)] * samples
    sampling = settings.language.sampling
    if text is not None:
        rows = model.motion_from_text([text] * samples, seed, sampling, lengths, [participant] * samples)
    elif len(given) == 1:
        before = given[0][-1]
        rows = [[*before, *row] for row in model.continue_motion([before] * samples, seed, sampling, lengths)]
    else:
        before, after = given[0][-1], given[1][0]
        drawn = model.between([(before, after)] * samples, seed, sampling, lengths)
        rows = [[*before, *row, *after] for row in drawn]
    title = text or " ... ".join(ends)
    motions = tokenizer.decode_many(rows)
    if out.suffix in PICTURES:
        PICTURES[out.suffix](motions, out, [title] * samples)
    else:
        for number, (codes, motion) in enumerate(zip(rows, motions, strict=True)):
            path = out if samples == 1 else out.with_stem(f"{out.stem}-{number + 1}")
            if out.suffix != ".json":
                write_motion(motion, path, title)
                continue
            provenance = {
                "text": text,
                "clips": list(ends),
                "participant": participant,
                "seed": seed + number,
                "snapshot": champion.name,
                "lineage": champion.lineage,
            }
            write_json(path, {**provenance, "codes": codes, "motion": motion_to_json(motion)})
    return motions


def _stretches(lake: Lake, lineage: str, key: str) -> list[list[int]]:
    """The codes of each stretch of a clip as it was filmed; FileNotFoundError where it has none."""
    path = lake.motion_tokens(lineage, check_video_key(key))
    if not path.exists():
        raise FileNotFoundError(f"{key} has no tokens of {lineage}, which the released model uses: {path}")
    return MotionTokens.read(path).originals
