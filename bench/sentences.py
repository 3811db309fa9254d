"""What becomes of sentences that are in no training: motion, and warnings. `python bench/sentences.py`

On a lake with a finished demo (`POSELLM_LAKE`), its stages are trained for each seed, and motions made for the 200
sentences of `sentences.yaml`, 20 for each movement: asked as they are typed; as the model asks, the label that they are
nearest to in front; of that label alone; and by retrieval (the training clip with the nearest text, its real motion).
Beside them stand bare labels. What counts is how often the lake's evaluator finds the movement that was meant. The
intervals are of the mean over sentences, each the mean over the seeds.

Of the same sentences, and 40 about movements that the demo does not have, is counted which are warned of.

Targets: recognised at least 0.85 of the time, and 0.9 of bare labels; of what is known at most 0.05 is warned of, of
what is not at least 0.9.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from pipeline import train_stages
from rich.console import Console
from rich.table import Table

from posellm_assets.evaluation.baselines import nearest_by_text
from posellm_assets.evaluation.clips import originals, read_examples, with_motions
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.evaluation.recognition import judged
from posellm_assets.generations.releases import required
from posellm_assets.generations.snapshots import motions_of, read_snapshot
from posellm_assets.lake import FINAL, Lake
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.taught import Taught
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.reports.metrics import average, share
from posellm_assets.settings import Settings, load_settings

RECOGNISED, OF_LABELS, WRONG, WARNED = 0.85, 0.9, 0.05, 0.9
LABELS, TYPED, ASKED, LABEL, RETRIEVED = (
    "bare label",
    "sentence, as typed",
    "sentence, its label in front",
    "the label that it is nearest to",
    "retrieval: real motion of the nearest training text",
)


class AsTyped(Taught):
    """Asks a model for what was typed and nothing else."""

    def asked(self, prompt: str) -> str:
        return prompt


class LabelAlone(Taught):
    """Asks a model for the label that a prompt is nearest to."""

    def asked(self, prompt: str) -> str:
        return self.near(prompt).label or prompt


def main() -> int:
    """Train, measure, print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="keep the models here and go on from what is there")
    arguments = parser.parse_args()
    lake = Lake(os.environ.get("POSELLM_LAKE", "data_lake"))
    if not lake.releases("language").exists():
        print(f"skipped: {lake.root} has no released model; run `make demo` there first, or set POSELLM_LAKE")
        return 0
    torch.set_num_threads(1)
    content = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    settings, console = load_settings(lake), Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        models = [trained(lake, settings, folder / f"seed-{seed}", seed) for seed in arguments.seeds]
    met = [print_motion(lake, settings, models, content["known"], console)]
    met.append(print_warnings(models[0].taught, content["known"], content["unknown"], console))
    return 0 if all(met) else 1


def trained(lake: Lake, settings: Settings, folder: Path, seed: int) -> MotionLM:
    """The model that the lake's stages make of the snapshot in use."""
    snapshot = required(lake, "language").name
    lineage = read_snapshot(lake, snapshot).lineage
    codebook = Codebook.of(lake, lineage)
    stages = train_stages(
        settings.language.stages,
        folder,
        train=lake.examples(snapshot, "train"),
        model=settings.language.model,
        codebook_size=codebook.size,
        codes_per_step=codebook.codes_per_step,
        lineage=lineage,
        tokenizer=lake.tokenizer(lineage),
        seed=seed,
    )
    return MotionLM.load(stages[-1].folder / FINAL)


def print_motion(
    lake: Lake,
    settings: Settings,
    models: Sequence[MotionLM],
    known: dict[str, list[str]],
    console: Console,
) -> bool:
    """The table of recognised motion, and whether its targets are met."""
    snapshot = read_snapshot(lake, required(lake, "language").name)
    evaluator = Evaluator.load(lake.evaluator(snapshot.snapshot))
    tokenizer = MotionTokenizer.load(lake.tokenizer(snapshot.lineage))
    meant = [label for label, sentences in known.items() for _ in sentences]
    typed = [sentence for sentences in known.values() for sentence in sentences]
    labels = sorted(known)

    def by(model: MotionLM, prompts: Sequence[str]) -> list[bool]:
        codes = model.motion_from_text(prompts, 0, settings.language.sampling)
        found = judged(evaluator, labels, tokenizer.decode_many(codes))
        return [label == one for label, one in zip(meant, found, strict=True)]

    def with_taught(kind: type[Taught]) -> Callable[[MotionLM], list[bool]]:
        def measure(model: MotionLM) -> list[bool]:
            own = model.taught
            model.taught = kind.model_validate(own.model_dump())
            try:
                return by(model, typed)
            finally:
                model.taught = own

        return measure

    clips = originals(read_examples(lake.examples(snapshot.snapshot, "train")))
    if said := {text.casefold() for clip in clips for text in clip.texts} & {text.casefold() for text in typed}:
        sys.exit(f"sentences that are training texts: {', '.join(sorted(said))}")
    filmed = with_motions(clips, motions_of(lake, snapshot), tokenizer)
    nearest = [filmed[index].motion for index in nearest_by_text([clip.texts for clip in filmed], typed)]
    retrieved = [label == one for label, one in zip(meant, judged(evaluator, labels, nearest), strict=True)]
    rows = {
        LABELS: [by(model, meant) for model in models],
        TYPED: [with_taught(AsTyped)(model) for model in models],
        ASKED: [by(model, typed) for model in models],
        LABEL: [with_taught(LabelAlone)(model) for model in models],
        RETRIEVED: [retrieved],
    }
    table = Table(f"recognised, of {len(typed)} prompts", "each seed", "mean", "95 %")
    for name, of_seeds in rows.items():
        figure = average(np.mean(of_seeds, 0).tolist())
        low, high = figure.interval or (0.0, 1.0)
        each = " ".join(f"{np.mean(row):.2f}" for row in of_seeds)
        table.add_row(name, each, f"{figure.value:.3f}", f"{low:.2f} to {min(1.0, high):.2f}")
    console.print(table)
    mean = {name: float(np.mean(of_seeds)) for name, of_seeds in rows.items()}
    console.print(
        f"sentences {mean[ASKED]:.3f} (target: at least {RECOGNISED}), {mean[ASKED] / mean[LABELS]:.2f} of bare labels "
        f"(target: at least {OF_LABELS}), retrieval {mean[RETRIEVED]:.3f}"
    )
    by_label = {label: np.mean([np.array(row)[np.array(meant) == label] for row in rows[ASKED]]) for label in known}
    console.print("by movement: " + ", ".join(f"{label} {value:.2f}" for label, value in by_label.items()))
    return mean[ASKED] >= RECOGNISED and mean[ASKED] >= OF_LABELS * mean[LABELS]


def print_warnings(taught: Taught, known: dict[str, list[str]], unknown: Sequence[str], console: Console) -> bool:
    """How many sentences are warned of, and how many are found near to the right label."""
    near = [(label, taught.near(text)) for label, sentences in known.items() for text in sentences]
    right = share(sum(label == one.label for label, one in near), len(near))
    wrong = share(sum(not one.known for _, one in near), len(near))
    warned = share(sum(not taught.near(text).known for text in unknown), len(unknown))
    table = Table("sentences", "share", "n", "95 %")
    for name, figure in (
        ("nearest to the right label", right),
        ("known, and warned of", wrong),
        ("unknown, and warned of", warned),
    ):
        low, high = figure.interval or (0.0, 1.0)
        table.add_row(name, f"{figure.value:.3f}", f"{figure.n}", f"{low:.2f} to {high:.2f}")
    console.print(table)
    console.print(f"targets: of what is known at most {WRONG}, of what is not at least {WARNED}")
    return wrong.value <= WRONG and warned.value >= WARNED


if __name__ == "__main__":
    sys.exit(main())
