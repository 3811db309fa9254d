"""A lake of real clips of which only the landmarks are at hand, from import to report. `python bench/real_lake.py`

Claim: of motions that are generated from sentences never taught, the share in which the right movement is recognised is
at least 0.7 of the ceiling, the share of real motion after the tokenizer, in the mean over the seeds.

The clips of `real_poses` (`POSELLM_TEST_DATA`, or `../shared/data` beside the project) are imported as a user would, go
through the whole graph, once for each seed. Settings are the defaults, but codes that lie beside one another are taken
for each other, as docs/training.md advises for so few clips. The report's figures on people of the test split are
printed with their intervals: the movement named in text beside the nearest training clip and the commonest label, and
generated motion recognised, asked for by label and by sentence. Clips of one source are on one side of the split.
Skipped where the clips are not there.

    python bench/real_lake.py [--seeds 0 1 2] [--work FOLDER]
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from posellm_assets.commands.importing import import_poses
from posellm_assets.definitions import build_defs
from posellm_assets.defs.catch_up import News, bring_up_to_date
from posellm_assets.defs.resources import LakeResource
from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.language.config import STAGES
from posellm_assets.poses.imports import declared
from posellm_assets.problems import all_problems
from posellm_assets.reports.metrics import Figure

OF_CEILING = 0.7
NEAR = {"near_read": 0.2, "near_written": 0.3}
SHOWN = ("naming", "scoring", "recognised")
"""What the names of the figures begin with that are printed."""


def main() -> int:
    """Import, train, print; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="keep the lakes here and go on from what is there")
    arguments = parser.parse_args()
    default = Path(__file__).parents[2] / "shared" / "data"
    clips = Path(os.environ.get("POSELLM_TEST_DATA", default)) / "real_poses"
    if not clips.is_dir():
        print(f"skipped: there is no {clips} (POSELLM_TEST_DATA)")
        return 0
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        figures = {seed: _figures(clips, folder / f"seed-{seed}", seed, console) for seed in arguments.seeds}
    table = Table(
        "figure", *(f"seed {seed}" for seed in figures), title="people of the test split", title_justify="left"
    )
    for name in dict.fromkeys(name for measured in figures.values() for name in measured if name.startswith(SHOWN)):
        table.add_row(name, *(_cell(measured.get(name)) for measured in figures.values()))
    console.print(table)
    by_sentence, ceiling = (
        [measured[name].value for measured in figures.values() if name in measured]
        for name in ("recognised_sentences", "recognised_reconstructed")
    )
    if len(by_sentence) < len(figures) or not sum(ceiling):
        console.print("MISSED: not every generation was measured")
        return 1
    reached = sum(by_sentence) / sum(ceiling)
    console.print(f"by sentence {reached:.2f} of the ceiling: {'met' if reached >= OF_CEILING else 'MISSED'}")
    return 0 if reached >= OF_CEILING else 1


def _figures(clips: Path, folder: Path, seed: int, console: Console) -> dict[str, Figure]:
    """The report's figures on a lake of the clips; none where there is no report."""
    lake, started_s = Lake(folder / "lake"), time.process_time()
    (folder / "dagster").mkdir(parents=True, exist_ok=True)
    placed, _ = import_poses(lake, [clips], None, declared())
    stages = [stage.model_copy(update=NEAR).model_dump(exclude_defaults=True) for stage in STAGES]
    resource = LakeResource(str(lake.root), {"seed": seed, "language": {"stages": stages}})
    said: list[News] = []
    with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        reason = bring_up_to_date(build_defs(lake=resource), lake, resource.load_settings(), instance, said.append)
    for problem in all_problems(lake):
        console.print(f"{problem.key}: {problem.step}: {problem.reason}", markup=False)
    snapshots = sorted(lake.frozen_snapshots())
    console.print(
        f"seed {seed}: {len(placed)} clips imported, {time.process_time() - started_s:.0f} CPU s here; {reason}"
    )
    if not snapshots:
        return {}
    snapshot = read_snapshot(lake, snapshots[-1])
    for split in ("train", "val", "test"):
        labels = Counter(read_manifest(lake, key).label for key in snapshot.keys(split))
        console.print(f"{split}: {', '.join(f'{label} {count}' for label, count in labels.most_common())}")
    return MeasuredFigures.read(lake.report(snapshots[-1])).figures


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "not measured"
    interval = f" [{figure.interval[0]:.2f}, {figure.interval[1]:.2f}]" if figure.interval else ""
    return f"{figure.value:.2f}{interval} n={figure.n}"


if __name__ == "__main__":
    sys.exit(main())
