"""Motion tokens and codebooks for tests that need a lake with some, and no tokenizer that made them."""

from collections.abc import Sequence

from posellm_assets.files import write_bytes, write_json
from posellm_assets.lake import FINAL, JOB, LOSSES, REPORT, RESULT, Lake
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.config import TokenizerConfig, TokenizerJob
from posellm_assets.motion.held_out import HeldOut
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.tokens import ORIGINAL, MotionTokens, TokenSegment, TokenVariant


def segment(
    codes: Sequence[int], start_s: float = 0.0, end_s: float = 1.0, mirrored: Sequence[int] = ()
) -> TokenSegment:
    """A stretch as it was filmed, and mirrored where there are codes for that."""
    variants = [TokenVariant(name=ORIGINAL, mirrored=False, codes=tuple(codes))]
    if mirrored:
        variants.append(TokenVariant(name="mirrored", mirrored=True, codes=tuple(mirrored)))
    return TokenSegment(start_s=start_s, end_s=end_s, variants=tuple(variants))


def write_tokens(
    lake: Lake, lineage: str, key: str, segments: Sequence[TokenSegment] = (segment([1, 2, 3]),), mpjpe_mm: float = 1.0
) -> None:
    """Write the tokens of `key` to their place in the lake."""
    tokens = MotionTokens(
        key=key,
        lineage=lineage,
        codebook_size=16,
        codes_per_step=1,
        fps=20.0,
        segments=tuple(segments),
        mpjpe_mm=mpjpe_mm,
    )
    tokens.write(lake.motion_tokens(lineage, key))


def write_codebook(lake: Lake, lineage: str, **config: int) -> None:
    """Write the description of a tokenizer of the body skeleton, without weights, to its place in the lake."""
    _codebook(lineage, **config).write(lake.tokenizer(lineage))


def write_tokenizer_training(lake: Lake, lineage: str, train: Sequence[str] = (), held_out: Sequence[str] = ()) -> None:
    """Write what a finished training on these videos leaves where tokenizers are trained; the error limit is 80 mm."""
    out = lake.tokenizer_in_training
    _codebook(lineage).write(out / FINAL)
    figures = HeldOut(clips=20, frames=0, error_limit_mm=80.0)
    store = {"url": str(lake.hub), "warnings": []}
    write_json(out / RESULT, {"lineage": lineage, "held_out": figures.model_dump(mode="json"), "store": store})
    write_bytes(out / LOSSES, b"{}\n")
    motions = {"train": [lake.motion(key) for key in train], "held_out": [lake.motion(key) for key in held_out]}
    write_json(out / JOB, TokenizerJob(out=out, **motions).model_dump(mode="json"))


def write_held_out(lake: Lake, lineage: str, error_limit_mm: float | None = None) -> None:
    """Write the report of a tokenizer to its place in the lake; without a limit no clip was held out."""
    held_out = HeldOut(clips=0 if error_limit_mm is None else 20, frames=0, error_limit_mm=error_limit_mm)
    write_json(lake.tokenizer(lineage) / REPORT, {"held_out": held_out.model_dump(mode="json")})


def _codebook(lineage: str, **config: int) -> Codebook:
    settings = TokenizerConfig(**config)
    parts = ("trunk", "left arm", "right arm", "left leg", "right leg")
    skeleton = BODY.to_json()
    return Codebook(lineage=lineage, fps=20.0, seed=0, unknown=(), skeleton=skeleton, parts=parts, config=settings)
