"""A camera, a place and a light: from a mesh in the world to the pixels of a frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from posellm_assets.demo.mesh import Mesh

SUPERSAMPLING = 2  # the figure is drawn this much larger and averaged down: smooth edges
SUBPIXEL_BITS = 4
LIGHT = np.array([-0.45, 0.80, 0.55], np.float32) / np.linalg.norm([-0.45, 0.80, 0.55]).astype(np.float32)
FILL = np.array([0.7, 0.1, 0.7], np.float32)
WALL_Z_M = -3.0
LIMB_M = 0.15  # a joint is covered by what is nearer by more than this
Place = Literal["gym", "court", "pitch", "studio", "track"]


@dataclass(frozen=True)
class Viewpoint:
    """A camera that looks at the athlete's middle from `distance_m`, `height_m` above the floor, `azimuth_deg` to the
    side; `view_m` metres fit into the square picture at that distance."""

    size_px: int
    distance_m: float
    height_m: float
    azimuth_deg: float
    view_m: float
    target_height_m: float = 1.08

    @property
    def position(self) -> np.ndarray:
        """Where the camera is in the world, (3,)."""
        angle = np.deg2rad(self.azimuth_deg)
        return np.array([np.sin(angle) * self.distance_m, self.height_m, np.cos(angle) * self.distance_m])

    @property
    def focal_px(self) -> float:
        """The focal length."""
        return self.size_px * self.distance_m / self.view_m

    @property
    def axes(self) -> np.ndarray:
        """Rows: to the right, up and backwards in the picture, in world axes (3, 3)."""
        back = self.position - [0, self.target_height_m, 0]
        back /= np.linalg.norm(back)
        right = np.cross([0, 1, 0], back)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(back, right), back])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2) and the distance along the view (...) in metres of world points (..., 3)."""
        seen = (points - self.position.astype(points.dtype)) @ self.axes.T.astype(points.dtype)
        depth = -seen[..., 2]
        offset = (
            seen[..., :2] * np.array([1, -1], points.dtype) * (self.focal_px / depth)[..., None].astype(points.dtype)
        )
        return offset + points.dtype.type(self.size_px / 2), depth


def background(camera: Viewpoint, place: Place, seed: int) -> np.ndarray:
    """The empty place as the camera sees it, (H, W, 3) uint8 BGR: floor and wall, a ray for every pixel."""
    rng = np.random.default_rng(seed)
    n = camera.size_px
    u, v = np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5)
    f = camera.focal_px
    rays = np.stack([(u - n / 2) / f, -(v - n / 2) / f, -np.ones_like(u)], -1) @ camera.axes
    to_floor = np.where(rays[..., 1] < 0, -camera.position[1] / np.minimum(rays[..., 1], -1e-6), np.inf)
    to_wall = (WALL_Z_M - camera.position[2]) / np.minimum(rays[..., 2], -1e-6)
    is_floor = to_floor < to_wall
    where = camera.position + rays * np.where(is_floor, to_floor, to_wall)[..., None]
    picture = np.where(is_floor[..., None], _floor(place, where), _wall(place, where))
    picture *= 1 - 0.05 * np.clip(-where[..., 2:], 0, 3) * is_floor[..., None]
    patches = cv2.resize(rng.normal(0, 0.014, (n // 12, n // 12)), (n, n), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 0.04, (n, n)), (0, 0), 0.8)
    picture *= (rng.uniform(0.85, 1.1) * (1 + patches + grain))[..., None]
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def _painted(shape: tuple[int, ...], *layers: tuple[np.ndarray | bool, tuple[float, float, float]]) -> np.ndarray:
    picture = np.zeros(shape)
    for where, colour in layers:
        picture[np.broadcast_to(where, shape[:2])] = colour
    return picture


def _floor(place: Place, where: np.ndarray) -> np.ndarray:
    x, z = where[..., 0], where[..., 2]
    shape = where.shape
    if place in ("gym", "studio"):
        plank = np.floor(x / 0.14)
        tone = 0.86 + ((plank * 37.7) % 1) * 0.14
        wood = _painted(shape, (True, (92, 140, 186) if place == "gym" else (150, 176, 196))) * tone[..., None]
        if place == "studio":
            wood[(abs(x) < 0.75) & (abs(z) < 1.0)] = (120, 96, 70)
        return wood
    if place == "pitch":
        stripe = np.floor(z / 0.8) % 2 == 0
        return _painted(shape, (True, (52, 120, 66)), (stripe, (60, 136, 76)), (abs(z + 1.4) < 0.04, (230, 235, 235)))
    if place == "track":
        return _painted(shape, (True, (58, 74, 158)), (abs(z % 1.2 - 0.6) < 0.025, (225, 228, 230)))
    lines = (abs(abs(x) - 1.6) < 0.03) | (abs(z + 0.9) < 0.03)
    return _painted(shape, (True, (150, 104, 60)), (lines, (235, 235, 235)))


def _wall(place: Place, where: np.ndarray) -> np.ndarray:
    x, y = where[..., 0], where[..., 1]
    shape = where.shape
    if place in ("gym", "studio"):
        window = (abs(x % 2.4 - 1.2) < 0.7) & (y > 1.7) & (y < 2.9)
        low = (140, 118, 92) if place == "gym" else (196, 206, 214)
        high = (196, 200, 196) if place == "gym" else (214, 220, 226)
        return _painted(
            shape, (True, high), (y < 1.1, low), (abs(y - 1.12) < 0.02, (80, 70, 60)), (window, (236, 226, 208))
        )
    sky = np.array([150, 120, 96]) + np.clip(y, 0, 4)[..., None] * np.array([20, 18, 14])
    if place == "court":
        fence = abs(x % 1.7 - 0.85) < 0.06
        sky[fence] *= 0.72
        sky[y < 0.9] = (84, 100, 70)
    elif place == "pitch":
        sky[y < 1.2 + 0.15 * np.sin(x * 2.1) + 0.1 * np.sin(x * 5.3)] = (62, 86, 60)
    else:
        sky[y < 1.6] = (120, 124, 128)
        sky[(y < 1.6) & (abs(y % 0.4 - 0.2) < 0.05)] = (96, 100, 104)
    return sky


def draw(mesh: Mesh, points: np.ndarray, camera: Viewpoint, empty: np.ndarray) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 BGR of a mesh whose corners are at `points` (T, N, 3) in front of `empty`."""
    pixels, depth = camera.project(points)
    shades, facing = _shade(mesh, points, camera)
    quad_depth = depth[:, mesh.quads].mean(-1)
    shadows = camera.project(points - LIGHT * (points[..., 1:2] / LIGHT[1]))[0]
    pieces = [np.unique(mesh.quads[mesh.part == part]) for part in range(mesh.part.max() + 1)]
    for frame in range(len(points)):
        lit = _shadowed(empty, shadows[frame], pieces)
        order = np.flatnonzero(facing[frame])
        order = order[np.argsort(-quad_depth[frame, order], kind="stable")]
        _fill(lit, pixels[frame][mesh.quads[order]], shades[frame, order])
        yield lit


def in_sight(joints: np.ndarray, mesh: Mesh, points: np.ndarray, camera: Viewpoint) -> np.ndarray:
    """Which of the joints (T, K, 3) are in the picture and not behind another part of the mesh; (T, K) bool.

    Joints lie inside the body, so only what is nearer than the surface over them covers them.
    """
    pixels, depth = camera.project(joints.astype(np.float32))
    seen: np.ndarray = np.all((pixels >= 0) & (pixels < camera.size_px), -1)
    corner_pixels, corner_depth = camera.project(points)
    low, high = _bounds(corner_pixels, mesh.quads)
    near = corner_depth[:, mesh.quads[:, 0]] + LIMB_M
    for frame, (x, y) in enumerate(pixels.transpose(0, 2, 1)):
        over = near[frame][:, None] < depth[frame]
        for axis, value in enumerate((x, y)):
            over &= (low[frame, :, axis, None] < value) & (value < high[frame, :, axis, None])
        seen[frame] &= ~over.any(0)
    return seen


def _bounds(pixels: np.ndarray, quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest x and y (T, Q, 2) of each quad."""
    first, second, third, fourth = (pixels[:, corner] for corner in quads.T)
    low = np.minimum(np.minimum(first, second), np.minimum(third, fourth))
    high = np.maximum(np.maximum(first, second), np.maximum(third, fourth))
    return low, high


def _shade(mesh: Mesh, points: np.ndarray, camera: Viewpoint) -> tuple[np.ndarray, np.ndarray]:
    """The colours (T, Q, 3) uint8 of the quads, and which of them (T, Q) face the camera."""
    corners = points[:, mesh.quads]
    normals = np.cross(corners[:, :, 2] - corners[:, :, 0], corners[:, :, 3] - corners[:, :, 1])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    view = camera.position.astype(np.float32) - corners.mean(2)
    view /= np.linalg.norm(view, axis=-1, keepdims=True)
    towards = np.sum(normals * view, -1)
    light = 0.50 + 0.12 * normals[..., 1] + 0.46 * np.clip(normals @ LIGHT, 0, 1) + 0.16 * np.clip(normals @ FILL, 0, 1)
    light -= 0.10 * (1 - np.clip(towards, 0, 1)) ** 3
    return np.clip(mesh.colours.astype(np.float32) * light[..., None], 0, 255).astype(np.uint8), towards > -0.05


def _shadowed(empty: np.ndarray, pixels: np.ndarray, pieces: list[np.ndarray]) -> np.ndarray:
    """The empty place with the shadow of the figure on its floor: the hull of each piece, blurred, at half size."""
    shadow = np.zeros((empty.shape[0] // 2, empty.shape[1] // 2), np.uint8)
    halves = (pixels * 0.5).astype(np.float32)
    for piece in pieces:
        hull = cv2.convexHull(halves[piece])[:, 0]
        cv2.fillConvexPoly(shadow, np.round(hull * (1 << SUBPIXEL_BITS)).astype(np.int32), 255, shift=SUBPIXEL_BITS)
    x, y, w, h = cv2.boundingRect(shadow)
    if not w:
        return empty.copy()
    x0, y0, x1, y1 = max(x - 4, 0), max(y - 4, 0), min(x + w + 4, shadow.shape[1]), min(y + h + 4, shadow.shape[0])
    soft = cv2.GaussianBlur(shadow[y0:y1, x0:x1], (0, 0), 1.2)
    large = cv2.resize(soft, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    keep = cv2.cvtColor(255 - (large * 0.42).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    lit = empty.copy()
    region = lit[2 * y0 : 2 * y1, 2 * x0 : 2 * x1]
    cv2.multiply(region, keep, dst=region, scale=1 / 255)
    return lit


def _fill(picture: np.ndarray, quads: np.ndarray, colours: np.ndarray) -> None:
    """Draw quads (Q, 4, 2) in pixels over each other, in their order, where the figure is in the picture."""
    height, width = picture.shape[:2]
    low = np.clip(np.floor(quads.min((0, 1))).astype(int) - 1, 0, [width, height])
    high = np.clip(np.ceil(quads.max((0, 1))).astype(int) + 1, 0, [width, height])
    region = picture[low[1] : high[1], low[0] : high[0]]
    if not region.size:
        return
    large = cv2.resize(region, None, fx=SUPERSAMPLING, fy=SUPERSAMPLING, interpolation=cv2.INTER_NEAREST)
    # A pixel's centre is at +0.5 in our coordinates and at 0 in OpenCV's.
    corners = np.round(((quads - low) * SUPERSAMPLING - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for corner, colour in zip(corners, colours.tolist(), strict=True):
        cv2.fillConvexPoly(large, corner, colour, shift=SUBPIXEL_BITS)
    region[:] = cv2.resize(large, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_AREA)
