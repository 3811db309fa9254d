"""The code location: everything is put together here, and nothing else is."""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg

from posellm_assets.defs import actions, coaching, evaluation, jobs, language, motion, streaming_coach
from posellm_assets.defs.alert import run_failure_alert
from posellm_assets.defs.cluster import ClusterPool, ClusterPrograms
from posellm_assets.defs.footage import FOOTAGE, QUARANTINE
from posellm_assets.defs.footage_sensor import new_footage_sensor
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs
from posellm_assets.defs.retraining_sensor import retraining_sensor
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import video_assets


def build_defs(**overrides: Any) -> dg.Definitions:
    """The whole code location; `overrides` replace resources by name (`lake`, `pool`, `programs`)."""
    resources: dict[str, Any] = {
        "lake": LakeResource(root=os.environ.get("POSELLM_LAKE", "data_lake")),
        "pool": PoolResource(),
        "programs": Programs(),
        # Assets write to the lake themselves; the default would let run config name a folder of its own.
        "io_manager": dg.InMemoryIOManager(),
    }
    unknown = set(overrides) - set(resources)
    if unknown:
        raise TypeError(f"no such resource: {sorted(unknown)}; there are {sorted(resources)}")
    lake = (resources | overrides)["lake"]
    settings = lake.load_settings()
    if settings.cluster.address:
        resources["pool"] = ClusterPool(cluster=settings.cluster)
        resources["programs"] = ClusterPrograms(cluster=settings.cluster)
        # Elsewhere a path is not looked for from the folder in which this process happens to be.
        overrides["lake"] = replace(lake, root=os.path.abspath(lake.root))
    stages, per_run = settings.language.stages, settings.automation.max_videos_per_run
    fresh = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=settings.automation.fresh_for_days))
    made = dg.Definitions(
        assets=[
            QUARANTINE,
            video_assets("ingest_videos", [FOOTAGE, POSES, motion.MOTION, CAPTIONS], per_run),
            motion.motion_tokenizer,
            video_assets("tokenise_videos", [motion.MOTION_TOKENS], per_run),
            language.stage_dataset,
            *language.stage_assets(stages),
            evaluation.motion_evaluator,
            evaluation.report_asset(stages[-1].name),
            evaluation.champion,
            actions.action_dataset,
            actions.action_model,
            actions.recogniser_asset(stages[-1].name),
            actions.action_report,
            streaming_coach.feedback_dataset,
            streaming_coach.streaming_coach,
            streaming_coach.streaming_report,
            video_assets("recognise_videos", [actions.ACTION_PREDICTIONS], per_run),
            video_assets("label_videos", [coaching.COACHING_LABELS], per_run),
            coaching.coaching_dataset,
            coaching.coaching_model,
            coaching.coaching_report,
        ],
        jobs=jobs.ALL,
        sensors=[new_footage_sensor, retraining_sensor, run_failure_alert],
        resources=resources | overrides,
        # Steps of a run follow one another and do their heavy work in processes of their own.
        executor=dg.in_process_executor,
    )
    return made.map_asset_specs(func=lambda spec: dg.apply_freshness_policy(spec, fresh))


defs = build_defs()
