import json

import numpy as np
import pytest

from posellm_assets.motion.config import TokeniseItem, TokeniseJob
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokenise import tokenise
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets_tests.unit.motion.people import moving_person, write_people
from posellm_assets_tests.unit.motion.test_tokenizer import tokenizer as untrained  # noqa: F401 - a fixture


@pytest.fixture
def folder(untrained, tmp_path):  # noqa: F811
    untrained.save(tmp_path / "tokenizer")
    return tmp_path


def job_for(folder, motions, variants=False):
    items = [
        TokeniseItem(motion=path, tokens=folder / "tokens" / f"{path.stem}.json", variants=variants) for path in motions
    ]
    return TokeniseJob(tokenizer=folder / "tokenizer", items=items)


def test_the_codes_of_each_stretch_are_written_with_their_times(folder):
    (path,) = write_people(folder / "motion", 1, 100)
    motion = moving_person(100)
    motion.joints[40:60] = np.nan
    motion.write(path)
    job = job_for(folder, [path])
    assert tokenise(job)["failed"] == {}
    content = json.loads(job.items[0].tokens.read_text())
    tokenizer = MotionTokenizer.load(folder / "tokenizer")
    assert (content["key"], content["lineage"], content["fps"]) == (path.stem, tokenizer.lineage, 20.0)
    assert [(s["start_s"], s["end_s"]) for s in content["segments"]] == [(0.0, 2.0), (3.0, 5.0)]
    expected = [tokenizer.encode(segment) for segment in Motion.read(path).segments(0.8)]
    assert [s["variants"] for s in content["segments"]] == [
        [{"name": "original", "mirrored": False, "codes": codes}] for codes in expected
    ]
    assert content["mpjpe_mm"] > 0


def test_variants_are_the_original_and_its_augmentations(folder):
    (path,) = write_people(folder / "motion", 1, 80)
    job = job_for(folder, [path], variants=True)
    tokenise(job)
    (segment,) = json.loads(job.items[0].tokens.read_text())["segments"]
    variants = {variant["name"]: variant for variant in segment["variants"]}
    assert next(iter(variants)) == "original"
    assert len(variants) == len(segment["variants"]) == 12
    assert all(variant["mirrored"] == ("mirrored" in name) for name, variant in variants.items())
    steps = {name: len(variant["codes"]) / 5 for name, variant in variants.items()}
    assert (steps["mirrored"], steps["speed-0.85"], steps["mirrored_speed-1.18_phase-2"]) == (10, 11, 8)


def test_one_bad_file_is_named_and_the_others_are_written(folder):
    paths = write_people(folder / "motion", 4, 40)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    moving_person(8).write(paths[2])
    missing = paths[0].with_name("walking.gone.00000000.parquet")
    job = job_for(folder, [*paths, missing])
    summary = tokenise(job)
    assert summary["written"] == [paths[0].stem, paths[3].stem]
    assert set(summary["failed"]) == {paths[1].stem, paths[2].stem, missing.stem}
    assert "make it again" in summary["failed"][paths[1].stem]
    assert "no stretch of 16 frames" in summary["failed"][paths[2].stem]
    assert [item.tokens.exists() for item in job.items] == [True, False, False, True, False]


def test_without_a_tokenizer_it_says_so(tmp_path):
    with pytest.raises(ValueError, match="not a finished motion tokenizer"):
        tokenise(job_for(tmp_path, []))
