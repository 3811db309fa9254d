"""From a text to a motion, with the released model. Loads torch; only the command line imports this."""

from pathlib import Path

from posellm_assets.evaluation.champion import read_champion
from posellm_assets.lake import Lake, local_path, write_json
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.exporting import ENDINGS, write_motion
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.rendering import motion_to_json
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.settings import Settings


def generate_motion(lake: Lake, settings: Settings, text: str, out: Path, seed: int) -> Motion:
    """Generate a motion for `text` and write it to `out`: as `write_motion` does, or as `.json`, joints and codes.

    Raises ValueError where `out` ends in something else or nothing has been released yet.
    """
    if out.suffix not in (*ENDINGS, ".json"):
        raise ValueError(f"{out}: a motion is written as {', '.join(ENDINGS)} or .json")
    champion = read_champion(lake)
    if champion is None:
        raise ValueError(
            f"{lake.root} has no released model yet; run `make demo`, or add footage and train a generation"
        )
    model = MotionLM.load(champion.model(lake))
    tokenizer = MotionTokenizer.load(local_path(lake.tokenizer(champion.lineage)))
    (codes,) = model.motion_from_text([text], seed=seed, sampling=settings.language.sampling)
    motion = tokenizer.decode(codes)
    if out.suffix in ENDINGS:
        write_motion(motion, out, text)
    else:
        provenance = {"text": text, "seed": seed, "snapshot": champion.snapshot, "lineage": champion.lineage}
        write_json(out, {**provenance, "codes": codes, "motion": motion_to_json(motion)})
    return motion
