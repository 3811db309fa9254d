import numpy as np
import pytest

from posellm_assets.commands.status import overview
from posellm_assets.files import write_json
from posellm_assets.generations.tokenizers import adopt_tokenizer
from posellm_assets.lake import Lake
from posellm_assets.motion.drift import MIN_HELD_OUT_CLIPS, drifting_sports, error_limit_mm
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.tokens import write_held_out, write_tokenizer_training, write_tokens


def lognormal(rng, clips, median_mm=40.0, spread=0.35):
    return np.exp(np.log(median_mm) + spread * rng.standard_normal(clips))


def test_few_held_out_clips_set_no_limit():
    assert error_limit_mm([40.0] * (MIN_HELD_OUT_CLIPS - 1)) is None
    assert error_limit_mm([40.0] * MIN_HELD_OUT_CLIPS) == pytest.approx(40.0)


def test_odd_clips_among_the_held_out_do_not_hide_a_new_sport():
    errors_mm = lognormal(np.random.default_rng(0), 40)
    clean = error_limit_mm(errors_mm)
    with_odd_ones = error_limit_mm([*errors_mm, 400.0, 500.0, 600.0])
    assert clean < with_odd_ones < 1.5 * clean < 400.0


def test_known_sports_seldom_raise_an_alarm():
    """At most two clips and half a sport of five clips in a hundred, where errors are spread as those held out."""
    rng = np.random.default_rng(0)
    clips = sports = 0
    for _ in range(1000):
        limit_mm = error_limit_mm(lognormal(rng, 40))
        new = lognormal(rng, 5)
        clips += (new > limit_mm).sum()
        sports += np.median(new) > limit_mm
    assert clips / 5000 < 0.02
    assert sports / 1000 < 0.005


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path)
    put_in_use(lake, "tokenizer", "vq-1")
    write_held_out(lake, "vq-1", 80.0)
    for number, (sport, error_mm) in enumerate(
        [("walking", 40.0), ("walking", 90.0), ("walking", 45.0), ("diving", 140.0), ("diving", 120.0)]
    ):
        key = f"{sport}.clip.{number:08x}"
        write_tokens(lake, "vq-1", key, mpjpe_mm=error_mm)
    return lake


def test_a_sport_that_the_codes_do_not_express_is_named(lake):
    keys = lake.tokenised_videos("vq-1")
    (drift,) = drifting_sports(lake, "vq-1", keys)
    assert (drift.sport, drift.clips, drift.drifting) == ("diving", 2, 2)
    assert (drift.median_mm, drift.limit_mm) == (130.0, 80.0)


def test_status_names_what_is_new_to_the_tokenizer_until_another_is_trained(lake):
    assert [drift["sport"] for drift in overview(lake)["drift"]] == ["diving"]
    known = [f"/elsewhere/{key}.parquet" for key in lake.tokenised_videos("vq-1") if key.startswith("diving.")]
    write_tokens(lake, "vq-1", "walking.clip.00000009", mpjpe_mm=85.0)
    write_json(lake.tokenizer("vq-1") / "job.json", {"train": known[:1], "held_out": known[1:], "out": "/elsewhere"})
    assert overview(lake)["drift"] == [], "the tokenizer was trained on that"
    seen = [f"walking.clip.{number:08x}.parquet" for number in range(3)]
    write_json(lake.tokenizer("vq-1") / "job.json", {"train": seen, "held_out": known, "out": "/elsewhere"})
    assert [(d["sport"], d["clips"]) for d in overview(lake)["drift"]] == [("walking", 1)], "others do not dilute it"
    put_in_use(lake, "tokenizer", "vq-2")
    write_held_out(lake, "vq-2", 80.0)
    assert overview(lake)["drift"] == []


def test_what_a_tokenizer_was_just_trained_on_is_not_new_to_it(lake):
    trained, held_out = "diving.clip.00000003", "diving.clip.00000004"
    write_tokenizer_training(lake, "vq-2", train=[trained], held_out=[held_out])
    adopt_tokenizer(lake, reasons=["More sports."], by="run 1")
    for key, error_mm in ((trained, 140.0), (held_out, 120.0), ("diving.clip.00000009", 130.0)):
        write_tokens(lake, "vq-2", key, mpjpe_mm=error_mm)
    assert [(d["sport"], d["clips"]) for d in overview(lake)["drift"]] == [("diving", 1)]


def test_without_a_limit_nothing_is_said(lake):
    write_held_out(lake, "vq-1")
    assert overview(lake)["drift"] == []


def test_a_damaged_report_is_named_with_what_to_do(lake):
    path = lake.tokenizer("vq-1") / "report.json"
    write_json(path, {"held_out": {"clips": 20, "frames": 100, "error_limit_mm": "high"}})
    found = overview(lake)
    assert found["drift"] == []
    (said,) = [row["why"] for row in found["not_used"] if row["what"] == "drift"]
    assert f"{path} is damaged (held_out.error_limit_mm: " in said and "train the tokenizer again" in said
