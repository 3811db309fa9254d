"""The jobs that people, sensors and the demo start."""

import dagster as dg

from posellm_assets.defs.common import OWNERS

ASKED_AGAIN = {"dagster/max_retries": "0"}
"""Tags of a job that a sensor asks for, and asks for again where a run was killed: Dagster then need not."""
RECOGNISING = dg.AssetSelection.assets("action_recogniser").downstream()

ingest_footage = dg.define_asset_job(
    "ingest_footage",
    selection=dg.AssetSelection.assets("footage", "poses", "motion", "captions"),
    description="From a registered video to its captions; one partition or a range of them.",
    owners=OWNERS,
    tags=ASKED_AGAIN,
)

train_tokenizer = dg.define_asset_job(
    "train_tokenizer",
    selection=dg.AssetSelection.assets("motion_tokenizer"),
    description="The codes of motion, shipped or trained (`tokenizer.start`). New codes mean a new model.",
    owners=OWNERS,
    tags=ASKED_AGAIN,
)

tokenise_motion = dg.define_asset_job(
    "tokenise_motion",
    selection=dg.AssetSelection.assets("motion_tokens"),
    description="Motion tokens of videos under the current tokenizer lineage.",
    owners=OWNERS,
    tags=ASKED_AGAIN,
)

train_generation = dg.define_asset_job(
    "train_generation",
    selection=dg.AssetSelection.assets("stage_dataset").downstream() - RECOGNISING,
    description="From a frozen snapshot to a trained, evaluated and perhaps released model.",
    owners=OWNERS,
    tags=ASKED_AGAIN,
)

train_actions = dg.define_asset_job(
    "train_actions",
    selection=dg.AssetSelection.assets("action_dataset", "action_model", "action_recogniser", "action_report"),
    description="From the labelled clips of a snapshot to a recogniser of actions and the report on it.",
    owners=OWNERS,
)

predict_actions = dg.define_asset_job(
    "predict_actions",
    selection=dg.AssetSelection.assets("action_predictions"),
    description="What videos show, by the recogniser in use; one partition or a range of them.",
    owners=OWNERS,
)

train_coach = dg.define_asset_job(
    "train_coach",
    selection=dg.AssetSelection.assets("feedback_dataset", "streaming_coach", "streaming_report"),
    description="From the timed feedback of a snapshot to a streaming coach and the report on it.",
    owners=OWNERS,
)

train_coaching = dg.define_asset_job(
    "train_coaching",
    selection=dg.AssetSelection.assets("coaching_dataset", "coaching_model", "coaching_report"),
    description="From the coaching labels of a snapshot to a model that gives such labels, and the report on it.",
    owners=OWNERS,
)

label_coaching = dg.define_asset_job(
    "label_coaching",
    selection=dg.AssetSelection.assets("coaching_labels"),
    description="What the athletes of videos could do better; one partition or a range of them.",
    owners=OWNERS,
)

ALL = [
    ingest_footage,
    train_tokenizer,
    tokenise_motion,
    train_generation,
    train_actions,
    predict_actions,
    train_coach,
    train_coaching,
    label_coaching,
]
NAMES = [job.name for job in ALL]
