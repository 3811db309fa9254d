import numpy as np

from posellm_assets.footage.cuts import CutFinder


def test_a_cut_is_told_at_its_first_picture_and_neither_panning_nor_the_beginning_is_one() -> None:
    rng = np.random.default_rng(0)
    scenes = [np.repeat(np.repeat(rng.integers(0, 255, (9, 40, 3), np.uint8), 8, 0), 8, 1) for _ in range(2)]
    pictures = [scene[:, 4 * step : 4 * step + 160] for scene in scenes for step in range(20)]
    still, panning = CutFinder(), CutFinder()
    assert [number for number, picture in enumerate(pictures) if panning.is_cut(picture)] in ([], [20])
    calm = [scene[:, :160] for scene in scenes for _ in range(20)]
    assert [number for number, picture in enumerate(calm) if still.is_cut(picture)] == [20]
