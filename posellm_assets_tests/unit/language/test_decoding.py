from pathlib import Path
from typing import Any

import pytest
import torch

from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.language.sampling import LengthControl
from posellm_assets.language.tasks import build
from posellm_assets.language.train import train
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.language import samples

SERVE = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> MotionLM:
    return trained_for(tmp_path_factory.mktemp("untrained"), steps=1, learning_rate=1e-9, row_tokens=128)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> MotionLM:
    folder = tmp_path_factory.mktemp("trained")
    # Eight variants: each clip at every phase of its walk through the codes.
    samples.examples(folder / "train.parquet", clips_per_label=6, variants=8)
    samples.examples(folder / "val.parquet", clips_per_label=1, variants=1, seed=1)
    return trained_for(folder, steps=150, learning_rate=5e-3, rows_per_batch=8, tasks={"t2m": 0.5, "m2t": 0.5})


def trained_for(folder: Path, **changes: Any) -> MotionLM:
    job = samples.job(folder, stage_changes=changes)
    train(job, Backend("hf", "asked for"), lambda message: None)
    return MotionLM.load(job.out / "final")


def test_even_an_untrained_model_writes_nothing_but_valid_motion_of_the_asked_length(untrained: MotionLM) -> None:
    texts = ["squat", "a much longer text about something it never saw 🎾", "", "serve"] * 10
    bounds = [LengthControl(minimum, minimum + 2, minimum + 5) for minimum in range(1, 41)]
    for temperature in (0.01, 1.0, 5.0):
        sampling = SamplingConfig(temperature=temperature, top_p=1.0)
        for codes, bound in zip(untrained.motion_from_text(texts, 3, sampling, bounds), bounds, strict=True):
            assert bound.minimum <= len(codes) <= bound.maximum
            assert set(codes) <= set(range(samples.CODEBOOK_SIZE))


def test_a_sample_depends_on_its_seed_and_not_on_its_company(untrained: MotionLM) -> None:
    texts = ["squat", "serve: the knees bend 3 times", "lunge"]
    together = untrained.motion_from_text(texts, seed=7)
    alone = [untrained.motion_from_text([text], seed=7 + index)[0] for index, text in enumerate(texts)]
    assert together == alone
    assert untrained.motion_from_text(texts, seed=8) != together


def test_a_slope_on_the_end_pulls_motions_towards_their_target(untrained: MotionLM) -> None:
    bounds = [LengthControl(1, 10, 60)] * 32
    free, pulled = (
        untrained.motion_from_text(
            ["squat"] * 32, 0, SamplingConfig(top_p=1.0, temperature=1.0, end_slope=slope), bounds
        )
        for slope in (0.0, 3.0)
    )
    assert max(map(len, pulled)) <= 14 < max(map(len, free))


def test_the_written_text_holds_only_text(untrained: MotionLM) -> None:
    texts = untrained.text_from_motion([SERVE, SERVE * 40, [1]])
    assert len(texts) == 3
    assert not any("<mot" in text.lower() or "<m2t>" in text.lower() for text in texts)


def test_a_trained_model_names_moves_it_was_not_shown_and_moves_as_it_is_told(trained: MotionLM) -> None:
    unseen = {
        "squat": [2, 3, 4, 5, 6, 7, 0, 1, 2, 3],
        "serve": [12, 13, 14, 15, 8, 9, 10, 11, 12, 13],
        "lunge": [20, 21, 22, 23, 16, 17, 18, 19, 20],
    }
    assert [text.split(":")[0] for text in trained.text_from_motion(list(unseen.values()))] == list(unseen)
    assert trained.score_labels(list(unseen.values()), list(unseen)).argmax(1).tolist() == [0, 1, 2]
    for place, label in enumerate(unseen):
        motions = trained.motion_from_text([label] * 8)
        own = sum(8 * place <= code < 8 * place + 8 for codes in motions for code in codes)
        assert own > 0.7 * sum(map(len, motions))


def log_probability(lm: MotionLM, prefix: list[int], answer: list[int]) -> float:
    """The plain way: one sequence through the whole model, no cache, no batch; a text's token among those of texts, a
    code among codes and the end of the motion."""
    texts = [*lm.vocabulary.text_tokens, lm.vocabulary.end_of_text]
    with torch.no_grad():
        scores = lm.model(input_ids=torch.tensor([[*prefix, *answer]]), use_cache=False).logits[0]
    total = 0.0
    for step, token in enumerate(answer):
        row = scores[len(prefix) - 1 + step]
        markers = [marker for marker in lm.vocabulary.added if lm.vocabulary.end < marker < lm.vocabulary.codes[0]]
        alike = texts if token in texts else [lm.vocabulary.end, *markers, *lm.vocabulary.codes]
        total += float(row[token] - row[alike].logsumexp(0))
    return total


def test_label_scores_are_what_reading_each_label_alone_would_give(trained: MotionLM) -> None:
    motions, labels = [SERVE, SERVE[:4], [0] * 12], ["serve", "squat", "a quite different label"]
    expected = []
    for codes in motions:
        example = build("m2t", "k", codes, "", trained.vocabulary, 64)[0]
        expected.append([log_probability(trained, example.prefix, trained.vocabulary.encode_text(x)) for x in labels])
    assert torch.allclose(trained.score_labels(motions, labels), torch.tensor(expected), atol=1e-3)


def test_a_label_that_begins_another_counts_without_the_others_share(trained: MotionLM) -> None:
    short, longer = trained.score_labels([SERVE], ["serve", "serve: the knees"]).exp()[0].tolist()
    [[alone]] = trained.score_labels([SERVE], ["serve"]).exp().tolist()
    assert short + longer == pytest.approx(alone, rel=1e-4)
    with pytest.raises(ValueError, match="different from each other"):
        trained.score_labels([SERVE], ["serve", "serve"])


def test_the_nll_of_a_motion_is_that_of_the_plain_model(trained: MotionLM) -> None:
    motions = [SERVE, [0, 1, 2, 3, 4], SERVE[2:]]
    for texts in (None, ["serve", "squat: the knees bend 3 times", "lunge"]):
        expected = []
        for index, codes in enumerate(motions):
            [example] = build("t2m", "k", codes, texts[index] if texts else "", trained.vocabulary, 64)
            expected.append(-log_probability(trained, example.prefix, example.answer) / len(codes))
        assert torch.allclose(trained.nll_per_code(motions, texts), torch.tensor(expected), atol=1e-4)
    own, other = trained.nll_per_code([SERVE, SERVE], ["serve", "squat"]).tolist()
    assert own < other
