"""The surface of an athlete: quads, each corner fixed to one bone.

A limb is a tube of rings around a bone; a neck or a trunk is a tube whose rings belong to different bones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

from posellm_assets.demo.athlete import Appearance, Athlete, Body, Colour
from posellm_assets.demo.skeleton import BONES, SOLE_M, WAIST_HEIGHT_M, Bones

SOCK: Colour = (228, 228, 230)
RACKET: Colour = (50, 60, 190)


@dataclass(frozen=True)
class Mesh:
    """`points` (N, 3) metres in the axes of the bones `bone` (N,); `quads` (Q, 4) of them, clockwise from
    outside; `colours` (Q, 3); `part` (Q,) numbers the convex pieces, which cast the shadow."""

    points: np.ndarray
    bone: np.ndarray
    quads: np.ndarray
    colours: np.ndarray
    part: np.ndarray

    def world(self, bones: Bones) -> np.ndarray:
        """The points (T, N, 3) in the world, float32."""
        frames = bones.frames.astype(np.float32)[:, self.bone]
        moved = np.einsum("tnij,nj->tni", frames, self.points.astype(np.float32))
        return moved + bones.origins.astype(np.float32)[:, self.bone]


@dataclass(frozen=True)
class Ring:
    """An ellipse around the y axis of a bone: its centre and its radii along x and z, in metres."""

    bone: str
    centre: tuple[float, float, float]
    radius_x: float
    radius_z: float


def athlete_mesh(athlete: Athlete, racket_hand: str | None = None) -> Mesh:
    """The whole figure; `racket_hand` ("l" or "r") holds a tennis racket."""
    body, look = athlete.body, athlete.look
    parts = [*_trunk(body, look), *_head(look, body.girth)]
    for side, sign in (("l", 1), ("r", -1)):
        parts += _arm(body, look, side, sign) + _leg(body, look, side)
    if racket_hand:
        parts += _racket(f"{racket_hand}_hand")
    return reduce(_joined, parts)


def _joined(first: Mesh, second: Mesh) -> Mesh:
    return Mesh(
        np.concatenate([first.points, second.points]),
        np.concatenate([first.bone, second.bone]),
        np.concatenate([first.quads, second.quads + len(first.points)]),
        np.concatenate([first.colours, second.colours]),
        np.concatenate([first.part, second.part + first.part.max() + 1]),
    )


def _tube(rings: Sequence[Ring], colours: Sequence[Colour] | Colour, sides: int = 10) -> Mesh:
    """A tube through rings listed from low to high y, one colour for all or one for each gap between rings."""
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    circle = np.stack([np.cos(turn), np.zeros(sides), np.sin(turn)], -1)
    points = np.concatenate([ring.centre + circle * [ring.radius_x, 1, ring.radius_z] for ring in rings])
    quads = _between_rings(len(rings), sides)
    by_gap = np.broadcast_to(np.asarray(colours, float), (len(rings) - 1, 3))
    bone = np.repeat([BONES.index(ring.bone) for ring in rings], sides)
    return Mesh(points, bone, quads, np.repeat(by_gap, sides, axis=0), np.zeros(len(quads), int))


def _between_rings(rings: int, sides: int) -> np.ndarray:
    low = (np.arange(rings - 1)[:, None] * sides + np.arange(sides)).ravel()
    ahead = (np.arange(rings - 1)[:, None] * sides + (np.arange(sides) + 1) % sides).ravel()
    return np.stack([low, low + sides, ahead + sides, ahead], -1)


def _limb(bone: str, length: float, profile: Sequence[tuple[float, float, Colour]]) -> Mesh:
    """A rounded tube down a bone's y axis; `profile` is (share of the length, radius, colour from there on)."""
    (_, first, near), (_, last, far) = profile[0], profile[-1]
    rounded = [(-first / length, 0.25 * first, near), (-0.6 * first / length, 0.8 * first, near), *profile]
    rounded += [(1 + 0.6 * last / length, 0.8 * last, far), (1 + last / length, 0.25 * last, far)]
    rings = [Ring(bone, (0, -share * length, 0), radius, radius) for share, radius, _ in reversed(rounded)]
    return _tube(rings, [colour for _, _, colour in reversed(rounded[:-1])])


def _trunk(body: Body, look: Appearance) -> list[Mesh]:
    hip = body.hip_half_width / 0.095
    shoulder = body.shoulder_half_width / 0.168
    top = body.spine - WAIST_HEIGHT_M
    pelvis = [
        (-0.105, 0.05, 0.04),
        (-0.085, 0.125, 0.085),
        (-0.03, 0.162, 0.108),
        (0.04, 0.158, 0.105),
        (0.10, 0.143, 0.098),
    ]
    chest = [(0.05, 0.134, 0.094), (0.30, 0.142, 0.101), (0.55, 0.158, 0.110), (0.76, 0.166, 0.108)]
    chest += [(0.88, 0.164, 0.094), (0.97, 0.140, 0.076), (1.035, 0.094, 0.064)]
    rings = [Ring("pelvis", (0, y, 0), x * body.girth * hip, z * body.girth) for y, x, z in pelvis]
    rings += [
        Ring("chest", (0, share * top, -0.004), x * body.girth * (shoulder if share > 0.5 else 1), z * body.girth)
        for share, x, z in chest
    ]
    rings.append(Ring("chest", (0, 1.08 * top, -0.004), 0.06, 0.055))
    colours = [look.trousers] * 3 + [look.shirt] * (len(rings) - 4)
    neck = [
        Ring("chest", (0, top - 0.03, -0.012), 0.062, 0.062),
        Ring("chest", (0, top + 0.05, -0.012), 0.056, 0.056),
        Ring("head", (0, -0.06, -0.015), 0.054, 0.056),
    ]
    return [_tube(rings, colours, sides=18), _tube(neck, look.skin)]


def _head(look: Appearance, girth: float) -> list[Mesh]:
    up = np.linspace(-0.49 * np.pi, 0.49 * np.pi, 13)
    jaw = np.clip(-np.sin(up), 0, 1) ** 1.6
    widths, depths = np.cos(up) * 0.077 * (1 - 0.3 * jaw), np.cos(up) * 0.094 * (1 - 0.1 * jaw)
    rings = [Ring("head", (0, y, 0), w, d) for y, w, d in zip(np.sin(up) * 0.118, widths, depths, strict=True)]
    skull = _tube(rings, look.skin, sides=16)
    centres = skull.points[skull.quads].mean(1)
    x, y, z = centres.T
    hairy = (y > 0.070) | ((z < -0.005) & (y > -0.055)) | ((z < 0.035) & (y > 0.03) & (abs(x) > 0.045))
    skull.colours[hairy] = look.hair
    dark = tuple(np.array(look.skin) * 0.45)
    lips = tuple(np.array(look.skin) * [0.62, 0.6, 0.85])
    face = [_patch((0, -0.057, 0.086), (0.024, 0.008), lips), _nose(look.skin)]
    for sign in (1, -1):
        face.append(_patch((sign * 0.032, 0.020, 0.087), (0.015, 0.0085), (235, 235, 238)))
        face.append(_patch((sign * 0.032, 0.020, 0.090), (0.007, 0.0085), (40, 30, 25)))
        face.append(_patch((sign * 0.033, 0.042, 0.085), (0.018, 0.0045), dark))
        ear = [(-0.028, 0.004, 0.006), (0.0, 0.011, 0.018), (0.028, 0.004, 0.008)]
        face.append(_tube([Ring("head", (sign * 0.078, y, -0.008), rx, rz) for y, rx, rz in ear], look.skin, sides=6))
    return [skull, *face]


def _patch(centre: tuple[float, float, float], half: tuple[float, float], colour: Colour) -> Mesh:
    """A flat quad on the face, looking to the front of the head."""
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * [*half, 1]
    bone = np.full(4, BONES.index("head"))
    return Mesh(corners + centre, bone, np.array([[0, 1, 2, 3]]), np.array([colour], float), np.zeros(1, int))


def _nose(skin: Colour) -> Mesh:
    profile = [(-0.032, 0.012, 0.012, 0.092), (-0.022, 0.012, 0.020, 0.094), (0.02, 0.006, 0.008, 0.088)]
    rings = [Ring("head", (0, y, z), rx, rz) for y, rx, rz, z in profile]
    return _tube(rings, tuple(np.array(skin) * 0.94), sides=6)


def _arm(body: Body, look: Appearance, side: str, sign: int) -> list[Mesh]:
    g = body.girth
    lower = look.shirt if look.long_sleeves else look.skin
    upper, fore, hand = f"{side}_upper_arm", f"{side}_forearm", f"{side}_hand"
    sleeve = [(0, 0.059 * g, look.shirt), (0.3, 0.058 * g, look.shirt), (0.58, 0.056 * g, lower)]
    bare = [(0.6, 0.047 * g, lower), (1, 0.041 * g, lower)]
    bones = [(0, 0.042 * g, lower), (0.25, 0.044 * g, lower), (0.6, 0.036 * g, lower), (1, 0.028 * g, lower)]
    fist = [
        (-0.175, 0.010, 0.018),
        (-0.14, 0.015, 0.034),
        (-0.09, 0.019, 0.042),
        (-0.04, 0.019, 0.036),
        (0.0, 0.020, 0.024),
    ]
    thumb = [(-0.085, -sign * 0.012, 0.052, 0.007), (-0.05, -sign * 0.008, 0.043, 0.012), (-0.02, 0.0, 0.026, 0.012)]
    return [
        _limb(upper, body.upper_arm, sleeve + bare),
        _limb(fore, body.forearm, bones),
        _tube([Ring(hand, (0, y, 0), rx, rz) for y, rx, rz in fist], look.skin),
        _tube([Ring(hand, (x, y, z), r, r) for y, x, z, r in thumb], look.skin, sides=5),
    ]


def _leg(body: Body, look: Appearance, side: str) -> list[Mesh]:
    g = body.girth
    thigh, shank, foot = f"{side}_thigh", f"{side}_shank", f"{side}_foot"
    lower = look.trousers if look.long_trousers else look.skin
    sock = look.trousers if look.long_trousers else SOCK
    hem = 0.078 if look.long_trousers else 0.086
    upper = [(0, 0.097 * g, look.trousers), (0.35, 0.092 * g, look.trousers), (0.6, hem * g, lower)]
    knee = [(0.63, 0.075 * g, lower), (0.85, 0.061 * g, lower), (1, 0.055 * g, lower)]
    calf = [(0, 0.053 * g, lower), (0.12, 0.051 * g, lower), (0.32, 0.058 * g, lower), (0.65, 0.043 * g, lower)]
    ankle = [(0.82, 0.038 * g, sock), (1, 0.036 * g, sock)]
    return [
        _limb(thigh, body.thigh, upper + knee),
        _limb(shank, body.shank, calf + ankle),
        _shoe(foot, look.shoe),
    ]


def _shoe(bone: str, colour: Colour) -> Mesh:
    """A shoe: the outline of its sole, stacked from the floor up to a top that falls from the ankle to the toes."""
    outline = [(0.00, 0.026, 0.060), (0.12, 0.036, 0.075), (0.40, 0.037, 0.055)]
    outline += [(0.75, 0.048, 0.030), (0.93, 0.036, 0.020), (1.00, 0.020, 0.012)]
    share, half, top = np.array(outline).T
    x, z = np.concatenate([half, -half[::-1]]), np.concatenate([share, share[::-1]]) * 0.252 - 0.066
    high = np.concatenate([top, top[::-1]])
    levels = [
        (0.9, 0.0 * high),
        (1.0, 0.012 + 0 * high),
        (1.0, 0.024 + 0 * high),
        (0.8, 0.024 + high),
        (0.05, 0.024 + high),
    ]
    points = np.concatenate([np.stack([x * narrow, y - SOLE_M, z], -1) for narrow, y in levels])
    colours = np.repeat(np.array([SOCK, SOCK, colour, colour], float), len(x), axis=0)
    quads = _between_rings(len(levels), len(x))
    return Mesh(points, np.full(len(points), BONES.index(bone)), quads, colours, np.zeros(len(quads), int))


def _racket(bone: str) -> list[Mesh]:
    """A handle that continues the fist forward, and a ring of short bars."""
    grip, axis, across = np.array([0, -0.08, 0.0]), np.array([0, -0.45, 0.9]), np.array([1.0, 0, 0])
    axis = axis / np.linalg.norm(axis)
    turn = np.linspace(0, 2 * np.pi, 15)
    rim = (
        grip + axis * 0.53 + np.outer(np.cos(turn) * 0.14, axis) + np.outer(np.sin(turn) * 0.11, np.cross(axis, across))
    )
    bars = [_bar(bone, grip - axis * 0.05, grip + axis * 0.39, 0.013, (45, 42, 40))]
    bars += [_bar(bone, start, end, 0.009, RACKET) for start, end in pairwise(rim)]
    return bars


def _bar(bone: str, start: np.ndarray, end: np.ndarray, radius: float, colour: Colour) -> Mesh:
    """A straight bar of four faces between two points in the axes of `bone`."""
    up = (end - start) / np.linalg.norm(end - start)
    side = np.cross(up, [1.0, 0.1, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(side, up)
    ring = np.array([side, other, -side, -other]) * radius
    points = np.concatenate([start + ring, end + ring])
    quads = np.array([[i, i + 4, (i + 1) % 4 + 4, (i + 1) % 4] for i in range(4)])
    colours = np.tile(np.array(colour, float), (4, 1))
    return Mesh(points, np.full(8, BONES.index(bone)), quads, colours, np.zeros(4, int))
