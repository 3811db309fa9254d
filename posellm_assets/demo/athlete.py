"""Who moves: the proportions of a body and how its owner looks, drawn from a number.

How joints turn is the business of `skeleton`, what the surface looks like that of `mesh`.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
"""Blue, green, red; 0 to 255."""


@dataclass(frozen=True)
class Body:
    """Lengths between joints in metres; `girth` scales how thick the limbs and the trunk are."""

    thigh: float
    shank: float
    hip_half_width: float
    spine: float
    shoulder_half_width: float
    upper_arm: float
    forearm: float
    neck: float
    girth: float

    @property
    def leg(self) -> float:
        """From the hip joint to the ankle."""
        return self.thigh + self.shank


@dataclass(frozen=True)
class Appearance:
    """Colours of skin, hair and clothes; `long_trousers` and `long_sleeves` cover the limbs."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoe: Colour
    long_trousers: bool
    long_sleeves: bool


@dataclass(frozen=True)
class Athlete:
    """One person of the rendered footage."""

    number: int
    body: Body
    look: Appearance
    left_handed: bool

    @property
    def participant(self) -> str:
        """The name in sidecars, from which the split follows."""
        return f"athlete-{self.number:02d}"


SKINS: tuple[Colour, ...] = (
    (176, 205, 240),
    (150, 184, 230),
    (128, 164, 214),
    (98, 132, 184),
    (72, 100, 150),
    (52, 74, 112),
)
HAIRS: tuple[Colour, ...] = ((26, 28, 32), (24, 30, 44), (34, 56, 84), (40, 40, 44), (60, 60, 66), (28, 40, 72))
SHIRTS: tuple[Colour, ...] = (
    (176, 84, 44),
    (60, 62, 196),
    (96, 150, 62),
    (215, 215, 220),
    (52, 160, 224),
    (150, 70, 140),
    (170, 160, 50),
    (60, 56, 54),
)
TROUSERS: tuple[Colour, ...] = ((52, 46, 44), (110, 64, 36), (74, 72, 78), (150, 148, 150), (60, 40, 90))
SHOES: tuple[Colour, ...] = ((225, 225, 230), (60, 60, 190), (50, 50, 52), (200, 160, 60), (80, 200, 220))


def athlete(number: int) -> Athlete:
    """The athlete of that number: always the same person, in any plan."""
    if number < 0:
        raise ValueError(f"athletes are numbered from 0, not {number}")
    rng = np.random.default_rng([number, 33])
    height = rng.uniform(0.90, 1.10)
    limbs = height * rng.uniform(0.95, 1.05)
    shoulders = height * rng.uniform(0.90, 1.12)
    body = Body(
        thigh=0.435 * limbs,
        shank=0.415 * limbs,
        hip_half_width=0.095 * height * rng.uniform(0.94, 1.08),
        spine=0.50 * height,
        shoulder_half_width=0.168 * shoulders,
        upper_arm=0.285 * limbs,
        forearm=0.250 * limbs,
        neck=0.095 * height,
        girth=height * rng.uniform(0.86, 1.12),
    )
    look = Appearance(
        skin=_one_of(rng, SKINS),
        hair=_one_of(rng, HAIRS),
        shirt=_one_of(rng, SHIRTS),
        trousers=_one_of(rng, TROUSERS),
        shoe=_one_of(rng, SHOES),
        long_trousers=bool(rng.random() < 0.4),
        long_sleeves=bool(rng.random() < 0.25),
    )
    return Athlete(number, body, look, left_handed=bool(rng.random() < 0.3))


def _one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]
