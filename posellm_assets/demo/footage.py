"""The plan of the rendered clips, and each clip written with its sidecar and its exact truth.

Same seed, same bytes: everything random comes from the seed. The bytes depend on the versions of NumPy, SciPy, OpenCV
and PyAV, and on the instruction set that they choose at run time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from posellm_assets.demo.athlete import Athlete, athlete
from posellm_assets.demo.faults import STAND_S, DemoRepetition, PlannedRepetition, check_faults, faulty_angles, timed
from posellm_assets.demo.mesh import Mesh, athlete_mesh
from posellm_assets.demo.movements import DemoMovement, Side, movements
from posellm_assets.demo.posing import pose
from posellm_assets.demo.scene import Place, Viewpoint, background, draw, in_sight
from posellm_assets.demo.skeleton import Bones, landmarks
from posellm_assets.files import write_atomic, write_json
from posellm_assets.footage.labels import Labels, sidecar_of
from posellm_assets.footage.writing import write_video
from posellm_assets.keys import slug
from posellm_assets.npy import read_npz
from posellm_assets.pool import Pool

FPS = 24
SIZE_PX = 352
ATHLETES = 20
CLIPS_PER_LABEL = 10
ATHLETES_PER_SEED = 100  # another seed brings other people


@dataclass(frozen=True)
class ClipPlan:
    """Everything that decides how one clip looks."""

    file: str
    sport: str
    label: str
    captions: tuple[str, ...]
    movement: DemoMovement
    side: Side
    """The side that leads, whether or not the label names it."""
    athlete: Athlete
    tempo: float
    """Repetitions against the movement's usual speed."""
    amplitude: float
    phase: float
    """Where in the cycle the clip begins, 0 to 1."""
    duration_s: float
    camera: Viewpoint
    place: Place
    seed: int
    planted: tuple[DemoRepetition, ...] = ()
    """The repetitions one by one, some of them faulty; then the clip begins and ends standing."""

    def __str__(self) -> str:
        return f"{self.sport}/{self.label}/{self.file}"

    @property
    def participant(self) -> str:
        """Who moves, as the sidecar names them."""
        return self.athlete.participant

    @property
    def frame_count(self) -> int:
        """How many frames the clip has."""
        return round(self.duration_s * FPS)

    @property
    def repetitions(self) -> float:
        """How many cycles of the movement the clip shows."""
        if self.planted:
            return len(self.planted)
        return self.frame_count / FPS * self.tempo / self.movement.cycle_s

    def path(self, raw: Path) -> Path:
        """Where the clip belongs under the drop zone."""
        return raw / self.sport / self.label.replace(" ", "_") / self.file


def truth_of(clip: Path) -> Path:
    """Where the exact truth of a rendered clip lies."""
    return clip.with_name(clip.name + ".truth.npz")


def plan(seed: int = 0, athletes: int = ATHLETES, clips_per_label: int = CLIPS_PER_LABEL) -> list[ClipPlan]:
    """The clips of a seed: each label done by `clips_per_label` of its athletes, the work spread evenly among them.

    Another seed has other athletes, so that its clips are those of unseen participants. Raises ValueError where there
    are more clips for a label than athletes.
    """
    if seed < 0:
        raise ValueError(f"the seed of the rendered footage is 0 or more, not {seed}")
    if not 0 < clips_per_label <= athletes <= ATHLETES_PER_SEED:
        raise ValueError(
            f"{clips_per_label} clips per label need as many athletes, at most {ATHLETES_PER_SEED}, not {athletes}"
        )
    clips = []
    labels = [(movement, side) for movement in movements() for side in movement.sides or (None,)]
    for number, (movement, side) in enumerate(labels):
        for turn in range(clips_per_label):
            index = (turn * athletes // clips_per_label + number) % athletes
            who = athlete(seed * ATHLETES_PER_SEED + index + 1)
            clips.append(clip_plan(movement, side, who, np.random.default_rng([seed, number, turn])))
    return clips


def clip_plan(movement: DemoMovement, side: Side | None, who: Athlete, rng: np.random.Generator) -> ClipPlan:
    """A clip of somebody doing a movement, all else drawn; without a `side` the athlete's better one leads."""
    label = f"{side} {movement.name}" if side else movement.name
    leads: Side = side or ("left" if who.left_handed else "right")
    other = "left" if leads == "right" else "right"
    texts = [movement.captions[i] for i in rng.permutation(len(movement.captions))[:2]]
    tempo = rng.uniform(0.8, 1.25)
    distance = rng.uniform(3.4, 5.4)
    return ClipPlan(
        file=f"{slug(label)}-{who.participant}.mp4",
        sport=movement.sport,
        label=label,
        captions=tuple(text.format(side=leads, other=other) for text in texts),
        movement=movement,
        side=leads,
        athlete=who,
        tempo=tempo,
        amplitude=rng.uniform(0.86, 1.06),
        phase=rng.uniform(0, 1),
        duration_s=float(np.clip(2 * movement.cycle_s / tempo, 2.5, 3.4)),
        camera=Viewpoint(
            size_px=SIZE_PX,
            distance_m=distance,
            height_m=rng.uniform(0.8, 1.7),
            azimuth_deg=rng.uniform(-35, 35),
            view_m=rng.uniform(2.55, 2.95),
        ),
        place=movement.places[int(rng.integers(len(movement.places)))],
        seed=int(rng.integers(2**31)),
    )


def with_faults(clip: ClipPlan, repetitions: Sequence[DemoRepetition]) -> ClipPlan:
    """The same athlete, camera and place with these repetitions, of a length to hold them.

    Raises ValueError for a fault that the movement cannot show.
    """
    check_faults(clip.movement, clip.side, repetitions)
    spans = timed(clip.movement, clip.tempo, repetitions)
    return replace(clip, planted=tuple(repetitions), duration_s=spans[-1].end_s + STAND_S)


def read_repetitions(clip: Path) -> list[PlannedRepetition]:
    """The repetitions of a rendered clip with planted faults, from its truth."""
    truth = read_npz(truth_of(clip))
    columns = (truth["repetition_fault"], truth["repetition_side"], truth["repetition_s"])
    return [
        PlannedRepetition(str(fault) or None, str(side) or None, float(start_s), float(end_s))  # type: ignore[arg-type]
        for fault, side, (start_s, end_s) in zip(*columns, strict=True)
    ]


def render_footage(raw: Path, pool: Pool, seed: int = 0) -> Iterator[Path]:
    """Render the clips of `plan(seed)` that are not in the drop zone `raw` yet; yields each as it is finished.

    Raises the first error of a worker.
    """
    missing = [clip for clip in plan(seed) if not clip.path(raw).exists()]
    for _, outcome in pool.map(partial(render_clip, raw=raw), missing):
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


def render_clip(clip: ClipPlan, raw: Path) -> Path:
    """Write a clip under the drop zone `raw`, its sidecar and truth first, and return its path.

    Beside `<file>.mp4` lie `<file>.mp4.json` (label, captions, participant, rendered) and `<file>.mp4.truth.npz`:
    `image` (T, 33, 2) px; `world` (T, 33, 3) metres from the middle of the hips, axes of the camera as MediaPipe has
    them (x to the right, y down, z away); `visible` (T, 33), in the picture and not behind another part of the body;
    `time_s` (T,); `fps`, `movement`, `side`, `participant`, `repetitions`; with planted faults also `repetition_s`
    (R, 2), start and end, `repetition_fault` (R,) and `repetition_side` (R,), empty where there is none.
    """
    cv2.setNumThreads(1)
    path = clip.path(raw)
    figure = rendered_athlete(clip)
    truth = exact_truth(clip, figure)
    sidecar = Labels(label=clip.label, captions=list(clip.captions), participant=clip.participant, rendered=True)
    write_json(sidecar_of(path), sidecar.model_dump())
    write_atomic(truth_of(path), lambda stream: np.savez_compressed(stream, **truth))  # type: ignore[arg-type]
    write_video(path, rendered_frames(clip, figure), FPS, "bgr24")
    return path


@dataclass(frozen=True)
class RenderedAthlete:
    """The athlete of a clip in every frame: its bones, its surface, and the corners of that (T, N, 3) in the world."""

    bones: Bones
    mesh: Mesh
    corners: np.ndarray


def rendered_athlete(clip: ClipPlan) -> RenderedAthlete:
    """The athlete as it moves through the clip."""
    movement = clip.movement
    time_s = np.arange(clip.frame_count) / FPS
    if clip.planted:
        angles = faulty_angles(movement, clip.side, clip.amplitude, clip.tempo, clip.planted, time_s)
    else:
        angles = movement.angles(clip.phase + time_s * clip.tempo / movement.cycle_s, clip.amplitude, clip.side)
    bones = pose(clip.athlete.body, angles, movement.swinging(clip.side)).turned(movement.facing(clip.side))
    mesh = athlete_mesh(clip.athlete, clip.side[0] if movement.racket else None)
    return RenderedAthlete(bones, mesh, mesh.world(bones))


def rendered_frames(clip: ClipPlan, figure: RenderedAthlete) -> Iterator[np.ndarray]:
    """The pictures of a clip, (H, W, 3) uint8 BGR."""
    return draw(figure.mesh, figure.corners, clip.camera, background(clip.camera, clip.place, clip.seed))


def exact_truth(clip: ClipPlan, figure: RenderedAthlete) -> dict[str, np.ndarray]:
    """The exact truth of a clip by name, as `render_clip` writes it."""
    points = landmarks(figure.bones)
    centred = points - points[:, 23:25].mean(1, keepdims=True)
    spans = timed(clip.movement, clip.tempo, clip.planted)
    planted = {
        "repetition_s": np.array([(one.start_s, one.end_s) for one in spans]),
        "repetition_fault": np.array([one.fault or "" for one in spans]),
        "repetition_side": np.array([one.side or "" for one in spans]),
    }
    return {
        "image": clip.camera.project(points)[0].astype(np.float32),
        "world": (centred @ clip.camera.axes.T * [1, -1, -1]).astype(np.float32),
        "visible": in_sight(points, figure.mesh, figure.corners, clip.camera),
        "time_s": np.arange(len(points)) / FPS,
        "fps": np.array(float(FPS)),
        "movement": np.array(clip.movement.name),
        "side": np.array(clip.side),
        "participant": np.array(clip.participant),
        "repetitions": np.array(clip.repetitions),
        **(planted if spans else {}),
    }
