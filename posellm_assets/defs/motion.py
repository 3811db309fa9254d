"""The motion group: movement in body coordinates, the tokenizer's codebook, and clips as code ids."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from posellm_assets.defs.common import columns, every_video, figures, sheet, spec, stored
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.program_assets import Ran, curves, program_asset
from posellm_assets.defs.videos import CheckOutcome, Done, Outcome, ShowsTooLittle, Tools, VideoAsset, video_check
from posellm_assets.files import read_json, sha256_of, write_bytes
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.tokenizers import adopt_tokenizer, lineage_in_use
from posellm_assets.jobs.motion import tokenizer_job
from posellm_assets.keys import sport_of
from posellm_assets.lake import REPORT, Lake
from posellm_assets.motion.config import TokeniseItem, TokeniseJob, TokenizerJob
from posellm_assets.motion.drift import REMEDY
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.held_out import HeldOut, MotionErrors
from posellm_assets.motion.motion import COLUMNS, Motion, TooLittleSeen
from posellm_assets.motion.retarget import motion_from_capture
from posellm_assets.motion.tokenise import tokenise as tokenise_job
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.pool import shares
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.problems import sentence
from posellm_assets.reports.markdown import escaped, table


def make_motion(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """The chosen subject's movement of many videos."""
    from posellm_assets.motion.rendering import strip  # loads OpenCV

    for key in keys:
        try:
            motion = _motion_of(tools, key)
        except TooLittleSeen as error:
            yield key, ShowsTooLittle(str(error))
            continue
        except ValueError as error:
            yield key, str(error)
            continue
        motion.write(tools.lake.motion(key))
        write_bytes(tools.lake.motion_strip(key), strip(motion))
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
        "strip": sheet(lake, lake.motion_strip(key)),
        "segments": len(segments),
        "duration_s": round(motion.duration_s, 2),
        "filled frames": int(motion.filled.sum()),
        "unknown": ", ".join(motion.unknown) or "nothing",
        "dagster/row_count": len(motion.joints),
        "dagster/column_schema": columns(pq.read_schema(str(lake.motion(key))), COLUMNS),
        "motion": lake.motion(key),
    }


MOTION = VideoAsset(
    spec=spec(
        "motion",
        "motion",
        "The subject's movement in body coordinates: gap-filled, filtered, resampled, size and heading normalised. "
        "Motion capture keeps its size and its way over the floor.",
        kinds={"parquet"},
        deps=["footage", "poses"],
        code_version="2",
    ),
    work=make_motion,
    path=Lake.motion,
    beside=(Lake.motion_strip,),
    needs=(FOOTAGE, POSES),
)


@program_asset(
    "motion",
    job=lambda lake, settings, _: tokenizer_job(lake, settings),
    deps=every_video("motion", "captions"),
    kinds={"pytorch"},
    partitions_def=None,
)
def motion_tokenizer(ran: Ran[TokenizerJob]) -> dg.MaterializeResult:
    """The codes of motion: those that come with the package, or codes trained on the lake (`tokenizer.start`).

    Made anew only on request, because new codes mean a new language model.
    """
    trained = ran.job.config.start != "shipped"
    how = f"Trained on the motion of {len(ran.job.train)} clips" if trained else "The codes that come with the package"
    said = f"{how}, because motion_tokenizer was materialized."
    lineage = adopt_tokenizer(ran.lake, reasons=[said], by=f"run {ran.context.run.run_id}")
    folder = ran.lake.tokenizer(lineage)
    report = read_json(folder / REPORT)
    return dg.MaterializeResult(
        metadata={
            "lineage": lineage,
            **figures(report),
            "held out": dg.MetadataValue.md(_held_out_table(HeldOut.of(ran.lake, lineage))),
            **({"losses": curves(folder), **stored(ran.context, report)} if trained else {}),
            "folder": folder,
        },
        data_version=dg.DataVersion(lineage),
    )


_HELD_OUT_COLUMNS = {
    "clips": "clips",
    "MPJPE mm": "mpjpe_mm",
    "headings aligned": "aligned_mpjpe_mm",
    "mean pose mm": "baseline_mean_pose_mm",
    "global MPJPE mm": "global_mpjpe_mm",
    "acceleration error m/s²": "acceleration_error_m_per_s2",
    "foot skate m/s": "foot_skate_m_per_s",
    "of the original": "foot_skate_original_m_per_s",
}


def _held_out_table(held_out: HeldOut) -> str:
    """What the tokenizer keeps of clips of other people, in all, by sport and by skeleton, as markdown."""
    if not held_out.clips:
        return escaped(held_out.reason)
    of_all: dict[str, MotionErrors] = {"all": held_out, **held_out.by_sport}
    of_all |= {f"skeleton {name}": errors for name, errors in held_out.by_skeleton.items()}
    rows = [(name, *(getattr(errors, one) for one in _HELD_OUT_COLUMNS.values())) for name, errors in of_all.items()]
    used = f"{held_out.codes_used} of {held_out.codebook_size} codes used in {held_out.codes}"
    perplexity = f"perplexity of each body part, layer by layer: {list(held_out.perplexity)}"
    return f"{table(('', *_HELD_OUT_COLUMNS), rows)}\n\n{used}; {perplexity}"


def tokenise(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Code ids of many videos under the current lineage; train videos also as mirrored and sped-up variants."""
    lineage = lineage_in_use(tools.lake)
    if lineage is None:
        for key in keys:
            yield key, "there is no tokenizer yet; materialize motion_tokenizer first"
        return
    tokenizer = tools.lake.tokenizer(lineage)
    jobs = [
        TokeniseJob(tokenizer=tokenizer, items=[_token_item(tools.lake, lineage, key) for key in share])
        for share in shares(keys, tools.pool.workers)
    ]
    for job, summary in tools.pool.map(tokenise_job, jobs):
        for key in (item.motion.stem for item in job.items):
            reason = sentence(summary) if isinstance(summary, Exception) else summary["failed"].get(key)
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
            "tokens": path,
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
        f"{described}. The codes were not made for such motion: {REMEDY} to make codes that are"
        if drifts
        else described,
        {"mpjpe_mm": error_mm, "limit_mm": limit_mm},
    )


def _current_tokens(lake: Lake, key: str) -> Path:
    return lake.motion_tokens(lineage_in_use(lake) or "none", key)


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
    checks=(
        video_check("motion_tokens", "codes_express_the_motion", "The codes give this motion back as well as others."),
    ),
)
