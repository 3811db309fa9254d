"""The motion group: movement in body coordinates, the tokenizer's codebook, and clips as code ids."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.defs.common import OWNERS, every_video, spec, stored
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, Tools, VideoAsset
from posellm_assets.files import read_json, sha256_of
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets.motion.batches import tokenise_batch
from posellm_assets.motion.config import TokeniseItem, TokeniseJob, TokenizerJob
from posellm_assets.motion.from_capture import motion_from_capture
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.held_out import HeldOut, MotionErrors
from posellm_assets.motion.lineage import adopt_tokenizer, current_lineage, tokenizer_in_training
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.pool import shares
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.training import store


def make_motion(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """The chosen subject's movement of many videos."""
    for key in keys:
        try:
            motion = _motion_of(tools, key)
        except ValueError as error:
            yield key, str(error)
            continue
        motion.write(tools.lake.motion(key))
        yield (
            key,
            Done(
                _metadata(tools.lake, key, motion, tools.settings.motion.min_segment_s),
                data_version=sha256_of(tools.lake.motion(key)),
            ),
        )


def _motion_of(tools: Tools, key: str) -> Motion:
    manifest = read_manifest(tools.lake, key)
    if isinstance(manifest.video, CaptureInfo):
        return motion_from_capture(Motion.read(tools.lake.raw / manifest.source), tools.settings.motion)
    poses = Poses.read(tools.lake.poses(key))
    return motion_from_poses(subject_of(poses), tools.settings.motion)


def _metadata(lake: Lake, key: str, motion: Motion, min_segment_s: float) -> dict[str, Any]:
    segments = motion.segments(min_segment_s)
    return {
        "segments": len(segments),
        "duration_s": round(motion.duration_s, 2),
        "filled frames": int(motion.filled.sum()),
        "unknown": ", ".join(motion.unknown) or "nothing",
        "dagster/row_count": len(motion.joints),
        "motion": dg.MetadataValue.path(str(lake.motion(key))),
    }


MOTION = VideoAsset(
    spec=spec(
        "motion",
        "motion",
        "The subject's movement in body coordinates: gap-filled, filtered, resampled, size and heading normalised. "
        "Motion capture keeps its size and its way over the floor.",
        kinds={"parquet"},
        deps=["footage", "poses"],
        code_version="1",
    ),
    work=make_motion,
    path=Lake.motion,
    needs=(FOOTAGE, POSES),
)


@dg.asset(
    group_name="motion",
    deps=every_video("motion", "captions"),
    kinds={"pytorch"},
    owners=OWNERS,
    code_version="1",
    pool="train",
)
def motion_tokenizer(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """One lineage of codes for motion. Made anew only on request, because new codes mean a new language model."""
    here, settings = lake.lake(), lake.load_settings()
    train: list[Path] = []
    held_out: list[Path] = []
    for key in here.captioned_videos():
        manifest = read_manifest(here, key)
        (train if manifest.split == "train" else held_out).append(here.motion(manifest.key))
    out = tokenizer_in_training(here)
    job = TokenizerJob(
        train=train,
        held_out=held_out,
        out=out,
        hub=store.url_of(settings.hub, here, "motion_tokenizer", out.name),
        config=settings.tokenizer,
        seed=settings.seed,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.motion.train_tokenizer", job, out)
    lineage = adopt_tokenizer(here)
    report = read_json(here.tokenizer(lineage) / "report.json")
    return dg.MaterializeResult(
        metadata={
            "lineage": lineage,
            **{name: value for name, value in report.items() if isinstance(value, int | float | str)},
            "held out": dg.MetadataValue.md(_held_out_table(HeldOut.of(here, lineage))),
            "folder": dg.MetadataValue.path(str(here.tokenizer(lineage))),
            **stored(context, report),
        },
        data_version=dg.DataVersion(lineage),
    )


_HELD_OUT_COLUMNS = {
    "clips": "clips",
    "MPJPE mm": "mpjpe_mm",
    "mean pose mm": "baseline_mean_pose_mm",
    "global MPJPE mm": "global_mpjpe_mm",
    "acceleration error m/s²": "acceleration_error_m_per_s2",
    "foot skate m/s": "foot_skate_m_per_s",
    "of the original": "foot_skate_original_m_per_s",
}


def _held_out_table(held_out: HeldOut) -> str:
    """What the tokenizer keeps of clips of other people, in all, by sport and by skeleton, as markdown."""
    if not held_out.clips:
        return str(held_out.reason)
    rows: dict[str, MotionErrors] = {"all": held_out} | held_out.by_sport
    rows |= {f"skeleton {name}": errors for name, errors in held_out.by_skeleton.items()}
    lines = [["", *_HELD_OUT_COLUMNS], ["---"] * (len(_HELD_OUT_COLUMNS) + 1)]
    lines += [
        [name, *(str(getattr(row, figure)) for figure in _HELD_OUT_COLUMNS.values())] for name, row in rows.items()
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    used = f"{held_out.codes_used} of {held_out.codebook_size} codes used in {held_out.codes}"
    return f"{table}\n\n{used}; perplexity by layer {list(held_out.perplexity)}"


def tokenise(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Code ids of many videos under the current lineage; train videos also as mirrored and sped-up variants."""
    lineage = current_lineage(tools.lake)
    if lineage is None:
        for key in keys:
            yield key, "there is no tokenizer yet; materialize motion_tokenizer first"
        return
    tokenizer = tools.lake.tokenizer(lineage)
    jobs = [
        TokeniseJob(tokenizer=tokenizer, items=[_token_item(tools.lake, lineage, key) for key in share])
        for share in shares(keys, tools.pool.workers)
    ]
    for job, summary in tools.pool.map(tokenise_batch, jobs):
        for key in (item.motion.stem for item in job.items):
            reason = str(summary) if isinstance(summary, Exception) else summary["failed"].get(key)
            yield key, reason or _tokens_done(tools.lake, lineage, key)


def _token_item(lake: Lake, lineage: str, key: str) -> TokeniseItem:
    return TokeniseItem(
        motion=lake.motion(key),
        tokens=lake.motion_tokens(lineage, key),
        variants=read_manifest(lake, key).split == "train",
    )


def _tokens_done(lake: Lake, lineage: str, key: str) -> Done:
    path = lake.motion_tokens(lineage, key)
    tokens = MotionTokens.read(path)
    limit_mm = HeldOut.of(lake, lineage).error_limit_mm
    return Done(
        metadata={
            "lineage": lineage,
            "codes": sum(map(len, tokens.originals)),
            "mpjpe_mm": tokens.mpjpe_mm,
            "variants": sum(len(segment.variants) for segment in tokens.segments),
            "tokens": dg.MetadataValue.path(str(path)),
        },
        data_version=sha256_of(path),
        checks=() if limit_mm is None else (_expressible(key, tokens.mpjpe_mm, limit_mm),),
    )


def _expressible(key: str, error_mm: float, limit_mm: float) -> CheckOutcome:
    drifts = error_mm > limit_mm
    described = f"{sport_of(key)}: {error_mm:.0f} mm of reconstruction error, limit {limit_mm:.0f} mm"
    return CheckOutcome(
        "codes_express_the_motion",
        not drifts,
        f"{described}. The codes were not made for such motion: materialize motion_tokenizer to make codes that are"
        if drifts
        else described,
        {"mpjpe_mm": error_mm, "limit_mm": limit_mm},
    )


def _current_tokens(lake: Lake, key: str) -> Path:
    return lake.motion_tokens(current_lineage(lake) or "none", key)


MOTION_TOKENS = VideoAsset(
    spec=spec(
        "motion_tokens",
        "motion",
        "Code ids of a video under the current tokenizer lineage.",
        kinds={"json"},
        deps=["motion", "motion_tokenizer"],
        code_version="1",
    ),
    work=tokenise,
    path=_current_tokens,
    needs=(MOTION,),
    checks=(dg.AssetCheckSpec("codes_express_the_motion", asset="motion_tokens", partitions_def=videos),),
)
