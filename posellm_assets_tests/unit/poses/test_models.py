"""The model bundles: where they come from, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.files import sha256_of
from posellm_assets.poses.landmarker import VideoLandmarker
from posellm_assets.poses.models import ModelUnavailable, available_models, ensure_model, model_named


def test_a_fetched_model_is_there_whole_and_listed() -> None:
    model = ensure_model("full")
    assert sha256_of(model.path) == model.sha256
    assert model.present
    assert model.size_bytes > 9_000_000
    assert model in available_models()


def test_cutting_the_mask_decoder_changes_no_bit_of_the_landmarks(pictures: list[tuple[float, np.ndarray]]) -> None:
    found = []
    for name in ("full", "full-with-masks"):
        with VideoLandmarker(ensure_model(name).path, 1, 0.5) as landmarker:
            found.append([landmarker.landmarks(rgb, time_s) for time_s, rgb in pictures[:30]])
    assert sum(map(len, found[0])) == 30
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="choose one of full, full-with-masks"):
        model_named("heavy")


def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every way to the network at a closed port of this machine."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")


def test_where_nothing_can_be_reached_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELLM_CACHE", str(tmp_path))
    no_way_out(monkeypatch)
    with pytest.raises(ModelUnavailable) as caught:
        ensure_model("full")
    for part in ("MediaPipe's storage:", "the package index", "copy the file pose_landmarker_full.task", str(tmp_path)):
        assert part in str(caught.value)
    assert list(tmp_path.rglob("*.task")) == []


def test_a_damaged_model_in_the_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ensure_model("full").path.read_bytes()
    monkeypatch.setenv("POSELLM_CACHE", str(tmp_path))
    model = model_named("full")
    model.path.parent.mkdir(parents=True)
    model.path.write_bytes(whole[:-1])
    assert not model.present
    no_way_out(monkeypatch)
    with pytest.raises(ModelUnavailable):
        ensure_model("full")
    model.path.write_bytes(whole)
    assert ensure_model("full").present


def test_the_landmarker_keeps_native_chatter_to_itself(athlete: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from posellm_assets.footage.video import frames\n"
        "from posellm_assets.poses.landmarker import VideoLandmarker\n"
        f"frame = next(frames(Path({str(athlete)!r})))\n"
        f"with VideoLandmarker(Path({str(ensure_model('full').path)!r}), 1, 0.5) as landmarker:\n"
        "    print(len(landmarker.landmarks(frame.rgb, frame.time_s)))\n"
        "print('ours', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert done.stderr.strip() == "ours"


def test_a_file_that_is_no_model_is_an_error_with_what_mediapipe_said(tmp_path: Path) -> None:
    (tmp_path / "broken.task").write_bytes(b"PK nonsense")
    with pytest.raises((ValueError, RuntimeError, FileNotFoundError)):
        VideoLandmarker(tmp_path / "broken.task", 1, 0.5)
