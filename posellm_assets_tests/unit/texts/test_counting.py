"""How often an exercise is repeated, whatever moves."""

import numpy as np
import pytest

from posellm_assets.texts.counting import count
from posellm_assets_tests.unit.texts.athletes import MOVEMENTS, athlete, squat, wave


@pytest.mark.parametrize("name", MOVEMENTS)
@pytest.mark.parametrize("times", [3, 8])
def test_repetitions_are_counted_whatever_moves(name: str, times: int) -> None:
    move, depth = MOVEMENTS[name]
    found = count(move(times * 1.4, 1.4, depth, noise_m=0.005))
    legs = 2 if name == "march" else 1  # legs in turn count one each time
    assert abs(found.repetitions - legs * times) <= 1
    assert found.period_s == pytest.approx(1.4 / legs, abs=0.15)


def test_somebody_who_stands_repeats_nothing() -> None:
    found = count(athlete(6.0, noise_m=0.005))
    assert (found.repetitions, found.period_s) == (0, None)


def test_of_a_slow_irregular_lean_and_quick_regular_arms_the_arms_are_counted() -> None:
    arms = wave(12.0, 1.5, 0, 120)
    lean = np.concatenate([np.linspace(0, 60, 140), np.linspace(60, 20, 100)])
    assert count(athlete(12.0, left_arm=arms, right_arm=arms, lean=lean)).repetitions == 8


def test_a_single_squat_is_one() -> None:
    assert count(squat(3.0, 3.0, 90.0)).repetitions == 1
