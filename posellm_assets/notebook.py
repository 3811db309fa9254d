"""A lake in a notebook: its tables with pandas, its clips by key, and what its models say, each in one line.

import posellm_assets as pa

lake = pa.open_lake("data_lake")
lake.videos()
lake.generate("a person does a squat").made[0].motion
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from posellm_assets.evaluation.figures import MeasuredFigures
from posellm_assets.files import read_json
from posellm_assets.footage.intake import status
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.snapshots import snapshot_keys
from posellm_assets.lake import METRICS, Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.poses.poses import Poses
from posellm_assets.problems import all_problems
from posellm_assets.settings import load_settings
from posellm_assets.texts.captions import read_captions
from posellm_assets.texts.signals import angle_signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from posellm_assets.actions.recognition import Recognition
    from posellm_assets.commands.generate import Generated

_DIRECTIONS = ("to the left, m", "up, m", "forwards, m")
"""What grows along each axis of a motion, for somebody who faces +z."""


class OpenLake:
    """The lake in the folder `root`; raises FileNotFoundError where there is none, ValueError for wrong settings."""

    def __init__(self, root: str | PathLike[str]):
        self.lake = Lake(root)
        if not self.lake.root.is_dir():
            raise FileNotFoundError(f"there is no lake in {self.lake.root}")
        self.settings = load_settings(self.lake)

    def __repr__(self) -> str:
        return f"OpenLake({str(self.lake.root)!r})"

    def videos(self) -> pd.DataFrame:
        """A row for each video whose file is there: `key` (the index), sport, label, participant, split, duration_s,
        fps, whether it is `ready`, and the `problem` that keeps it from being used ("" where there is none)."""
        problems = {problem.key: f"{problem.step}: {problem.reason}" for problem in all_problems(self.lake)}
        ready = set(self.lake.captioned_videos())
        rows = [
            {
                **{name: getattr(manifest, name) for name in ("key", "sport", "label", "participant", "split")},
                "duration_s": manifest.video.duration_s,
                "fps": manifest.video.fps,
                "ready": manifest.key in ready,
                "problem": problems.get(manifest.key, ""),
            }
            for manifest in (read_manifest(self.lake, key) for key in status(self.lake).videos)
        ]
        names = ("key", "sport", "label", "participant", "split", "duration_s", "fps", "ready", "problem")
        return pd.DataFrame(rows, columns=list(names)).set_index("key")

    def facts(self, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """A row for each fact that was measured of the videos `keys`, all that are ready by default: its `key`, kind,
        joint, side, values with their unit, and its times in seconds."""
        rows = [
            {"key": key, **fact.model_dump(mode="json")}
            for key in self._keys(keys, self.lake.captioned_videos())
            for fact in read_captions(self.lake, key).facts
        ]
        return pd.DataFrame(rows)

    def predictions(self, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """A row for each action that was recognised in the videos `keys`, all that were looked at by default: `key`,
        when, what, how sure, and how often."""
        from posellm_assets.actions.recognition import Recognition

        looked_at = [key for key in self.lake.registered_videos() if self.lake.action_predictions(key).is_file()]
        rows = [
            {
                "key": key,
                "timestamp_s": segment.timestamp,
                "action": segment.answer.action,
                "confidence": segment.answer.confidence,
                "repetitions": segment.repetitions,
            }
            for key in self._keys(keys, looked_at)
            for segment in Recognition.read(self.lake.action_predictions(key)).segments
        ]
        return pd.DataFrame(rows, columns=["key", "timestamp_s", "action", "confidence", "repetitions"])

    def metrics(self) -> pd.DataFrame:
        """A row for each figure of every generation's report: `snapshot`, `figure`, value, n, and the 95 % interval."""
        rows = []
        for snapshot in snapshot_keys(self.lake, None):
            if (self.lake.report(snapshot) / METRICS).exists():
                for name, figure in MeasuredFigures.read(self.lake.report(snapshot)).figures.items():
                    low, high = figure.interval or (None, None)
                    rows.append((snapshot, name, figure.value, figure.n, low, high))
        return pd.DataFrame(rows, columns=["snapshot", "figure", "value", "n", "low", "high"])

    def poses(self, key: str) -> Poses:
        """The landmarks of a video."""
        return Poses.read(self.lake.poses(key))

    def motion(self, key: str) -> Motion:
        """The movement of a video's athlete: joints (T, J, 3) in metres."""
        return Motion.read(self.lake.motion(key))

    def captions(self, key: str) -> list[str]:
        """What is said about a video: its owner's words, and what was measured in words."""
        return [text.text for text in read_captions(self.lake, key).texts]

    def tokens(self, key: str, lineage: str | None = None) -> list[list[int]]:
        """The codes of each stretch of a video, by the tokenizer in use or that of `lineage`."""
        from posellm_assets.generations.releases import required

        name = lineage or required(self.lake, "tokenizer").name
        return MotionTokens.read(self.lake.motion_tokens(name, key)).originals

    def angles(self, of: str | Motion) -> pd.DataFrame:
        """The joint angles of a video, or of a motion, in degrees over time in seconds (the index)."""
        motion = self._motion(of)
        signals = {
            f"{side} {joint}" if side else joint: angles for (joint, side), angles in angle_signals(motion).items()
        }
        times_s = [motion.start_s + frame / motion.fps for frame in range(len(motion))]
        return pd.DataFrame(signals, index=pd.Index(times_s, name="time_s"))

    def plot_angles(self, of: str | Motion, joints: Iterable[str] = ("knee", "hip", "elbow")) -> "Axes":
        """The angles of some joints over time, as a matplotlib plot."""
        table = self.angles(of)
        wanted = [name for name in table if str(name).split()[-1] in set(_several(joints))]
        return table[wanted].plot(ylabel="degrees", xlabel="s")

    def plot_trajectories(
        self,
        of: str | Motion,
        joints: Iterable[str] = ("left_wrist", "right_wrist"),
        seen: Literal["above", "side"] = "side",
    ) -> "Axes":
        """The way of some joints in metres, seen from above or from the side, as a matplotlib plot; a dot marks where
        each begins. Raises ValueError for a joint that the skeleton does not have."""
        motion, axes = self._motion(of), _axes()
        across, up = (0, 2) if seen == "above" else (2, 1)
        for name in _several(joints):
            way = motion.joints[:, motion.skeleton.index(name)]
            (line,) = axes.plot(way[:, across], way[:, up], label=name)
            axes.plot(*way[motion.known][:1, [across, up]].T, "o", color=line.get_color())
        axes.set(xlabel=_DIRECTIONS[across], ylabel=_DIRECTIONS[up], aspect="equal")
        axes.legend()
        return axes

    def plot_confusion(self, snapshot: str, of: Literal["naming", "recognition", "actions"] = "naming") -> "Axes":
        """What held-out clips show against what they were taken for, in counts, as a matplotlib plot.

        `naming` is what the language model says, `recognition` what the evaluator takes generated motions for, and
        `actions` what the recogniser says. Raises FileNotFoundError where the report was not made, and ValueError where
        it has no such table.
        """
        labels, counts = self._confusion(snapshot, of)
        axes, columns = _axes(), [*labels, "none"]
        axes.imshow(counts, cmap="Blues")
        axes.set(xlabel="taken for", ylabel="shows")
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        for row, column in np.argwhere(counts):
            colour = "white" if counts[row, column] > counts.max() / 2 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
        return axes

    def describe(self, video: str | PathLike[str], language: Literal["en", "es", "zh"] = "en") -> dict[str, Any]:
        """What a video file shows, as `posellm describe --json` says it."""
        from posellm_assets.commands.describe import describe_video

        return describe_video(self.lake, Path(video), self.settings, language)

    def recognise(self, video: str | PathLike[str], sport: str | None = None) -> "Recognition":
        """Which actions a video file shows, and when, by the recogniser in use."""
        from posellm_assets.commands.recognise import recognise_videos

        ((_, found),) = recognise_videos(self.lake, self.settings, Path(video), sport, None, None)
        if isinstance(found, Exception):
            raise found
        return found

    def generate(self, text: str, **options: Any) -> "Generated":
        """Motions for a text by the released model; `options` are those of `commands.generate.Request`, such as `seed`,
        `samples` and `duration_s`."""
        from posellm_assets.commands.generate import Request, generate_motions

        return generate_motions(self.lake, self.settings, Request(text, **options))

    def _motion(self, of: str | Motion) -> Motion:
        return self.motion(of) if isinstance(of, str) else of

    def _confusion(self, snapshot: str, of: str) -> tuple[list[str], np.ndarray]:
        """Labels, and counts (L, L + 1): a row for each, a column for what it was taken for, the last for none."""
        if of == "actions":
            measured = read_json(self.lake.action_report(snapshot) / METRICS)
            return list(measured["classes"].values()), np.array(measured["members"]["ensemble"]["confusion"])
        tables = read_json(self.lake.report(snapshot) / METRICS)["confusion"]
        if of not in tables:
            raise ValueError(f"the report of {snapshot} has no {of!r}; it has {', '.join(sorted(tables)) or 'none'}")
        return tables[of]["labels"], np.array(tables[of]["counts"])

    def _keys(self, keys: Iterable[str] | None, known: Iterable[str]) -> list[str]:
        return list(known) if keys is None else _several(keys)


def _several(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"give a list of names, such as [{names!r}]")
    return list(names)


def _axes() -> "Axes":
    from matplotlib import pyplot

    return pyplot.subplots()[1]
