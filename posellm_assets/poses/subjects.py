"""Who the clip is about: people linked into tracks over the whole clip, and the subject chosen among them.

MediaPipe's order of people changes from frame to frame, so nothing here trusts it.
"""

from dataclasses import dataclass

import numpy as np

from posellm_assets.poses.poses import Poses, SubjectPoses

# A person is looked for again this long after the last sight, moving at most this many body sizes a second.
MAX_GAP_S = 1.0
MAX_SPEED = 4.0
# Two sights are of one person where their landmarks lie closer than this share of the body's size.
SLACK = 0.15
# Two tracks are seen from the same distance where the sizes of their bodies differ by less than this factor.
SAME_SIZE = 1.4
# Off the middle by this share of the picture's width, a person counts for 1/e of one in the middle. With a linear
# weight, the helper beside a balance beam won over the athlete on it in three of the four views of one recording.
CENTRE = 0.25
# What somebody counts for who does not move, where one who moves by the own size in a second counts for one more. Equal
# shares let somebody who sat in front on a ball win over the one who exercised behind.
_STILL = 0.5
_STEP_S = 0.2


@dataclass(frozen=True)
class Subject:
    """The chosen person: `person` (T,) is the index in the frame's people, -1 where the subject is not seen.

    `tracks` counts the people that were told apart, `share` is the part of all prominence that the subject has.
    """

    person: np.ndarray
    tracks: int
    share: float


def choose_subject(poses: Poses) -> Subject:
    """Choose the one person that the clip is about, over the whole clip.

    Each track is worth, summed over its frames (so that persistence counts), its size in the picture times how near
    the middle it is times how much it moves. The best track is the subject. A person who is lost, or filmed from
    another place after a cut, goes on as a new track: such tracks are joined, best first (see `_continues`).
    """
    seen = poses.seen
    if not seen.any():
        return Subject(np.full(len(seen), -1), 0, 0.0)
    size_px = _body_size(poses)
    tracks = _link(poses, size_px)
    worth = np.array([_prominence(poses, size_px, track) for track in tracks])
    several = bool((seen.sum(axis=1) > 1).any())
    chosen = np.full(len(seen), -1)
    total = 0.0
    for index in np.argsort(-worth):
        if total == 0.0 or _continues(poses, size_px, chosen, tracks[index], several):
            frames, people = tracks[index].T
            chosen[frames] = people
            total += worth[index]
    return Subject(chosen, len(tracks), float(total / worth.sum()))


def subject_of(poses: Poses) -> SubjectPoses:
    """The landmarks of the one person that the clip is about."""
    return poses.of(choose_subject(poses).person)


def _continues(poses: Poses, size_px: np.ndarray, chosen: np.ndarray, track: np.ndarray, several: bool) -> bool:
    """Whether a track can be the chosen person at another time.

    It shares no frame with the chosen. Where the clip shows several people at once it must go on at about the same
    place and size. Where it never does, anybody is the same person, unless the sight jumps aside at the same size from
    one frame to the next: a camera cut changes the size too, a tracker that changes over to a neighbour does not.
    """
    frames, people = track.T
    if (chosen[frames] >= 0).any():
        return False
    held = np.flatnonzero(chosen >= 0)
    for end, near in ((0, held[held < frames[0]][-1:]), (-1, held[held > frames[-1]][:1])):
        if not len(near):
            continue
        sight, other = (frames[end], people[end]), (near[0], chosen[near[0]])
        size = size_px[other]
        same_size = 1 / SAME_SIZE < size_px[sight] / size < SAME_SIZE
        aside = np.linalg.norm((poses.pixels[sight] - poses.pixels[other]).mean(axis=0)) / size
        elapsed_s = abs(poses.time_s[sight[0]] - poses.time_s[other[0]])
        if several and not (same_size and aside < 1.0):
            return False
        if not several and same_size and aside > SLACK and elapsed_s < MAX_GAP_S:
            return False
    return True


def _body_size(poses: Poses) -> np.ndarray:
    """(T, P) pixels that 1.7 metres of this body take: the same for a standing and a curled-up athlete."""
    metres = poses.world[..., :2]
    spread_px = np.sqrt(poses.pixels.var(axis=2).sum(axis=-1))
    spread_m = np.sqrt(metres.var(axis=2).sum(axis=-1))
    return 1.7 * spread_px / np.maximum(spread_m, 0.05)


def _link(poses: Poses, size_px: np.ndarray) -> list[np.ndarray]:
    """Tracks, each (N, 2) int of (frame, person), by the cheapest assignment from frame to frame."""
    from scipy.optimize import linear_sum_assignment  # here, because the code server starts without SciPy

    pixels, seen = poses.pixels, poses.seen
    tracks: list[list[tuple[int, int]]] = []
    open_tracks: list[int] = []
    for frame, time_s in enumerate(poses.time_s):
        people = np.flatnonzero(seen[frame])
        open_tracks = [track for track in open_tracks if time_s - poses.time_s[tracks[track][-1][0]] <= MAX_GAP_S]
        if not len(people):
            continue
        cost = np.full((len(open_tracks), len(people)), np.inf)
        for row, track in enumerate(open_tracks):
            last = tracks[track][-1]
            size = size_px[last]
            distance = np.linalg.norm(pixels[frame, people] - pixels[last], axis=-1).mean(axis=-1) / size
            reach = SLACK + MAX_SPEED * min(time_s - poses.time_s[last[0]], 0.25)
            cost[row] = np.where(distance <= reach, distance, np.inf)
        matched = set()
        for row, column in zip(*linear_sum_assignment(np.minimum(cost, 1e6)), strict=True):
            if np.isfinite(cost[row, column]):
                tracks[open_tracks[row]].append((frame, int(people[column])))
                matched.add(int(column))
        for column in set(range(len(people))) - matched:
            tracks.append([(frame, int(people[column]))])
            open_tracks.append(len(tracks) - 1)
    return [np.array(track) for track in tracks]


def _prominence(poses: Poses, size_px: np.ndarray, track: np.ndarray) -> float:
    frames, people = track.T
    size = size_px[frames, people] / np.hypot(poses.width, poses.height)
    # Across only: whoever films keeps the athlete in the middle of the width, at any height.
    off_centre = np.abs(poses.landmarks[frames, people, :, 0].mean(axis=1) - 0.5)
    centrality = np.exp(-((off_centre / CENTRE) ** 2))
    # Over a fifth of a second, in which landmarks that shake go nowhere.
    step = max(1, round(_STEP_S * poses.fps))
    moved = np.linalg.norm(
        poses.pixels[frames[step:], people[step:]] - poses.pixels[frames[:-step], people[:-step]], axis=-1
    )
    elapsed = np.maximum(poses.time_s[frames[step:]] - poses.time_s[frames[:-step]], 1e-3)
    speeds = moved.mean(axis=-1) / size_px[frames, people][step:] / elapsed  # body sizes a second
    speed = float(np.median(speeds)) if len(speeds) else 0.0
    visible = poses.visibility[frames, people].mean(axis=-1)
    return float((size * centrality * visible).sum() * (_STILL + min(speed, 1.0)))
