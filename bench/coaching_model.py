"""A small language model that answers as coaching labels do. `python bench/coaching_model.py`

Needs a lake in which `make demo` has run (POSELLM_LAKE, else data_lake), for its tokenizer. Athletes of the renderer do
exercises with faults planted in some repetitions; their joints are exact but for errors of a centimetre, nothing is
rendered. The rules label each clip; the model is trained on the facts and motion codes of the training split, keeps
the weights of the lowest loss on the validation split, and answers about the test split, all through the programs of
the graph. What is measured is how well it has learned to say what the rules say, not how well the rules see faults,
which is in bench/coaching.py. Targets: nearly every answer follows the schema, and more clips are answered exactly
right than by the commonest label of their exercise.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lakes import current_tokenizer

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.model.answers import answer_to, question, row, write_rows
from posellm_assets.coaching.model.config import CoachingModelConfig, CoachingReportJob
from posellm_assets.coaching.model.report import COMMONEST, MODEL, NOTHING, evaluate, page
from posellm_assets.demo.faults import FAULTS_OF, DemoRepetition
from posellm_assets.demo.footage import FPS, SIZE_PX, ClipPlan, plan, rendered_athlete, with_faults
from posellm_assets.demo.skeleton import landmarks
from posellm_assets.footage.splits import split_of
from posellm_assets.lake import FINAL
from posellm_assets.language.config import StageJob
from posellm_assets.language.train import train
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.training import backends

SEEDS = range(100, 130)
ERROR_M = 0.01
LEAST_VALID = 0.95


def main() -> int:
    """Make clips, train, measure, print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    parser.add_argument("--steps", type=int, help="of training, at most")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = current_tokenizer()
    if folder is None:
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        tokenizer = MotionTokenizer.load(folder)
        if not (work / "test.parquet").exists():
            write_examples(work, tokenizer)
        config = CoachingModelConfig()
        stage = config.stage.model_copy(update={"steps": arguments.steps}) if arguments.steps else config.stage
        job = StageJob(
            train=work / "train.parquet", val=work / "val.parquet", out=work / "model", stage=stage, model=config.model,
            codebook_size=tokenizer.codebook_size, codes_per_step=tokenizer.codes_per_step,
            lineage=tokenizer.lineage, tokenizer=folder,
        )  # fmt: skip
        result = train(job, backends.choose("hf"), print)
        began_s = time.process_time()
        metrics = evaluate(
            CoachingReportJob(
                model=work / "model" / FINAL, train=job.train, test=work / "test.parquet", out=work / "report"
            ),
            print,
        )
        asked_s = time.process_time() - began_s
    print(page(metrics))
    print(
        f"{metrics['train_clips']} training clips, best of {result['steps']} steps at {result['best_step']}, "
        f"{result['step_cpu_seconds']:.0f} s of CPU to train, {asked_s / metrics['clips']:.2f} s an answer"
    )
    right = {name: one["figures"]["exactly_right"]["value"] for name, one in metrics["speakers"].items()}
    valid = metrics["speakers"][MODEL]["figures"]["schema_valid"]["value"]
    return int(valid < LEAST_VALID or right[MODEL] <= max(right[COMMONEST], right[NOTHING]))


def write_examples(work: Path, tokenizer: MotionTokenizer) -> None:
    """Clips of all athletes as examples of the three splits."""
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for seed in SEEDS:
        for number, (who, clip) in enumerate(takes(seed)):
            seen = measured(clip, f"fitness.{clip.movement.name.replace(' ', '-')}-{number}.{seed:08x}")
            label = label_clip(seen, RuleTeacher())
            if label.status != "success":
                continue
            (codes,) = tokenizer.encode_many([seen.motion])
            example = row(seen.key, label.exercise or "", question(seen), answer_to(label.feedback_points), codes)
            rows[split_of(who)].append(example)
    for split, of_split in rows.items():
        write_rows(work / f"{split}.parquet", of_split)


def takes(seed: int) -> Iterator[tuple[str, ClipPlan]]:
    """Who, and what they do: three to five repetitions with one or two kinds of faults among them, or none."""
    rng = np.random.default_rng(seed)
    for clip in plan(seed):
        faults = FAULTS_OF.get(clip.movement.name, ())
        if not faults:
            continue
        chosen = [faults[place] for place in rng.permutation(len(faults))[: rng.integers(3)]]
        repetitions = [DemoRepetition() for _ in range(rng.integers(3, 6))]
        for fault in chosen:
            side = clip.side if clip.movement.name == "lunge" else ("left", "right")[rng.integers(2)]
            sided = fault in ("asymmetric arms", "knee valgus")
            place = int(rng.integers(len(repetitions)))
            repetitions[place] = DemoRepetition(fault, side if sided else None, float(rng.uniform(0.8, 1.3)))
        yield f"{seed} {clip.participant}", with_faults(clip, repetitions)


def measured(clip: ClipPlan, key: str) -> MeasuredClip:
    """The clip as a pose network would see it that errs by a centimetre, every joint visible."""
    points = landmarks(rendered_athlete(clip).bones)
    world = (points - points[:, 23:25].mean(1, keepdims=True)) @ clip.camera.axes.T * [1, -1, -1]
    world = world + np.random.default_rng(clip.seed).normal(0, ERROR_M, world.shape)
    image = clip.camera.project(points)[0] / SIZE_PX
    flat = np.concatenate([image, 0 * image[..., :1]], -1).astype(np.float32)
    sure = np.ones(points.shape[:2], np.float32)
    time_s = np.arange(len(points)) / FPS
    subject = SubjectPoses(time_s, flat, sure, sure, world.astype(np.float32), SIZE_PX, SIZE_PX, float(FPS))
    return MeasuredClip(key, clip.movement.name, subject, motion_from_poses(subject, MotionConfig()))


if __name__ == "__main__":
    sys.exit(main())
