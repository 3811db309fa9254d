"""Motion tokens as a file: what was written is read back, and what is damaged is named with what to do."""

import json
from pathlib import Path

import pytest

from posellm_assets.lake import Lake
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets_tests.tokens import segment, write_tokens

KEY = "gym.squat.0000000a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The tokens of a video of three stretches; the second and the third are equally long and the longest."""
    lake = Lake(tmp_path)
    stretches = [
        segment([1, 2], 0.0, 0.4),
        segment([3, 4, 5], 1.0, 1.6, mirrored=[6, 7, 8]),
        segment([9, 10, 11], 2.0, 2.6001),  # times are rounded: by them this one would be the longest
    ]
    write_tokens(lake, "vq-1", KEY, stretches, mpjpe_mm=12.5)
    return lake.motion_tokens("vq-1", KEY)


def test_what_was_written_is_read_back(path: Path) -> None:
    tokens = MotionTokens.read(path)
    assert (tokens.key, tokens.lineage, tokens.mpjpe_mm) == (KEY, "vq-1", 12.5)
    assert tokens.originals == [[1, 2], [3, 4, 5], [9, 10, 11]]
    assert [variant.name for variant in tokens.segments[1].variants] == ["original", "mirrored"]
    before = path.read_bytes()
    tokens.write(path)
    assert path.read_bytes() == before


def test_the_longest_stretch_has_the_most_codes_and_is_the_first_of_several(path: Path) -> None:
    longest = MotionTokens.read(path).longest
    assert (longest.start_s, longest.codes) == (1.0, (3, 4, 5))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"segments": []}, "segments: Tuple should have at least 1 item"),
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"codebook_size": 11}, "ids from 0 to 10"),
        ({"codes_per_step": 2}, "2 codes for every step"),
        ({"mpjpe_mm": None}, "mpjpe_mm: Input should be a valid number"),
        ({"mpjpe_mm": float("nan")}, "mpjpe_mm: Input should be a finite number"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong_and_what_to_do(path: Path, damage: dict, reason: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(ValueError) as caught:
        MotionTokens.read(path)
    said = str(caught.value)
    assert said.startswith(f"{path} is damaged (") and reason in said
    assert said.endswith(f"remove it and materialize motion_tokens for {KEY} again")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda stretch: stretch["variants"][0].update(name="mirrored"), "the first variant of a stretch"),
        (lambda stretch: stretch["variants"].clear(), "the first variant of a stretch"),
        (lambda stretch: stretch["variants"][0].update(codes=[-1]), "segments.1.variants.0.codes.0: Input should be"),
        (lambda stretch: stretch["variants"][0].update(codes=[]), "segments.1.variants.0.codes: Tuple should have at"),
        (lambda stretch: stretch.update(end_s=1.0), "ends after it starts"),
    ],
)
def test_a_damaged_stretch_is_found_too(path: Path, change, reason: str) -> None:
    content = json.loads(path.read_text())
    change(content["segments"][1])
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=reason):
        MotionTokens.read(path)


def test_half_a_file_is_damaged_and_no_file_is_missing(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"is damaged .*materialize motion_tokens"):
        MotionTokens.read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        MotionTokens.read(path)
