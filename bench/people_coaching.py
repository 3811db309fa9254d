"""The coach's rules on real people whose form others have judged. `python bench/people_coaching.py FOLDER`

FOLDER holds landmarks of real clips and `labels.csv` with label, form (correct, wrong), source and repetitions by eye.
Prints, with intervals of a bootstrap over sources: how many correct clips are blamed (target: at most 10 %), how many
wrong push-ups are found (at least 60 %), and the repetitions counted; the half of the sources on which limits were
chosen (first byte of sha256 even) and the other apart. Beside it push-ups with the limits of the body's line cross-
validated: for the clips of a source all are scaled alike, as serves the clips of all other sources best. Baselines:
silence, and a fault in every clip. Ten CPU seconds.
"""

import csv
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of

DRAWS = 2000
SCALES = tuple(np.arange(0.5, 2.01, 0.05).tolist())
LINE = ("hip_sag", "hip_pike", "head_drop")
"""The quantities of a push-up whose limits are cross-validated."""
console = Console()


@dataclass(frozen=True)
class Judged:
    """A clip with what others say of it, and its label; None where too little of the body is seen."""

    row: dict[str, str]
    clip: MeasuredClip | None
    label: CoachingLabel | None

    @property
    def blamed(self) -> bool:
        return bool(self.label and self.label.feedback_points)

    @property
    def is_report(self) -> bool:
        return hashlib.sha256(self.row["source"].encode()).digest()[0] % 2 == 1


def judged(folder: Path) -> Iterable[Judged]:
    with (folder / "labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if rules_of(row["label"]) is None:
                continue
            subject = subject_of(Poses.read(folder / row["file"]))
            try:
                clip = MeasuredClip(row["file"], row["label"], subject, motion_from_poses(subject, MotionConfig()))
            except ValueError:
                yield Judged(row, None, None)
                continue
            yield Judged(row, clip, label_clip(clip, RuleTeacher()))


def interval(values: Sequence[float], sources: Sequence[str]) -> str:
    """The mean of values with its 95 % interval over sources, and how many values and sources there are."""
    if not values:
        return "none"
    of_source: dict[str, list[float]] = defaultdict(list)
    for value, source in zip(values, sources, strict=True):
        of_source[source].append(value)
    groups, rng = list(of_source.values()), np.random.default_rng(0)
    means = [
        np.mean(np.concatenate([groups[place] for place in rng.integers(len(groups), size=len(groups))]))
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{np.mean(values):.2f} [{low:.2f}, {high:.2f}] (n={len(values)}, {len(groups)} sources)"


def share(clips: Sequence[Judged], said: Sequence[bool] | None = None) -> str:
    values = [float(one) for one in (said if said is not None else [clip.blamed for clip in clips])]
    return interval(values, [clip.row["source"] for clip in clips])


def worst(clip: Judged) -> dict[str, float]:
    """The largest value of each quantity of `LINE` over the repetitions of a push-up."""
    rules = rules_of("push-up")
    if clip.clip is None or rules is None:
        return {}
    found: dict[str, float] = {}
    for one in repetitions_of(clip.clip, rules):
        if abs(clip.clip.turned_at(one.peak_s)) < 60:
            continue
        for name in LINE:
            value = measure_quantity(clip.clip, name, "both", one)
            found[name] = max(found.get(name, -np.inf), -np.inf if value is None else value)
    return found


def cross_validated(clips: Sequence[Judged]) -> list[bool]:
    """Whether each clip is blamed by the limits of `LINE`, scaled as the clips of other sources want it."""
    limits = {
        rule.quantity: rule.at_most + QUANTITIES[rule.quantity].error
        for rule in rules_of("push-up").rules  # type: ignore[union-attr]
        if rule.quantity in LINE and rule.at_most is not None
    }
    # How many times its limit the worst of a clip's quantities is.
    excess = [max([value / limits[name] for name, value in worst(one).items()], default=0.0) for one in clips]
    said = []
    for clip, own in zip(clips, excess, strict=True):
        others = [
            (one.row["form"] == "wrong", value)
            for one, value in zip(clips, excess, strict=True)
            if one.row["source"] != clip.row["source"]
        ]
        said.append(own > _chosen(others))
    return said


def _chosen(others: Sequence[tuple[bool, float]]) -> float:
    """Of the scales that blame at most a tenth of the correct, the one that finds most; of equals the most silent."""
    best = (-1, 0.0)
    for scale in SCALES:
        blamed = [value > scale for wrong, value in others if not wrong]
        found = sum(value > scale for wrong, value in others if wrong)
        if np.mean(blamed) <= 0.1:
            best = max(best, (found, scale))
    return best[1]


def main(folder: Path) -> int:
    clips = list(judged(folder))
    table = Table(
        "", "all", "limits chosen on", "others", title="clips in which a fault is named", title_justify="left"
    )
    kinds = sorted({(one.row["label"], one.row["form"]) for one in clips if one.row["form"]})
    for label, form in kinds:
        own = [one for one in clips if (one.row["label"], one.row["form"]) == (label, form)]
        halves = [[one for one in own if one.is_report == report] for report in (False, True)]
        table.add_row(f"{label}, {form}", share(own), *(share(half) for half in halves))
    console.print(table, "silence: 0 of each; a fault in every clip: 1 of each")
    push_ups = [one for one in clips if one.row["label"] == "push_up" and one.row["form"]]
    said = cross_validated(push_ups)
    of_form = {
        form: [(one, blamed) for one, blamed in zip(push_ups, said, strict=True) if one.row["form"] == form]
        for form in ("correct", "wrong")
    }
    for form, pairs in of_form.items():
        told = share([one for one, _ in pairs], [blamed for _, blamed in pairs])
        console.print(f"push-ups, {form}, limits cross-validated by source: {told}")
    counted = [one for one in clips if one.row["repetitions_low"] and one.label]
    errors = [
        max(int(one.row["repetitions_low"]) - n, n - int(one.row["repetitions_high"]), 0)
        for one in counted
        if (n := len(one.label.repetitions if one.label else ())) >= 0
    ]
    sources = [one.row["source"] for one in counted]
    console.print(f"sets counted within one: {interval([float(error <= 1) for error in errors], sources)}")
    console.print(f"mean absolute error: {interval([float(error) for error in errors], sources)}")
    correct = [one for one in clips if one.row["form"] == "correct"]
    wrong = [one for one in push_ups if one.row["form"] == "wrong"]
    blamed = np.mean([one.blamed for one in correct])
    return 0 if blamed <= 0.1 and np.mean([one.blamed for one in wrong]) >= 0.6 else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
