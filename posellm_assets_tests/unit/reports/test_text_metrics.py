import math

import pytest

from posellm_assets.reports.text_metrics import bleu, chrf, rouge_l


def test_rouge_l_by_hand():
    # Longest common run with gaps: "police the gunman", 3 of 4 words on either side.
    assert rouge_l(["Police kill the gunman!"], [["police killed the gunman"]]).value == pytest.approx(3 / 4)
    # 2 words of 2, and of 4: precision 1, recall 1/2; the better of two references counts.
    assert rouge_l(["knees bend"], [["an arm rises", "both knees bend twice"]]).value == pytest.approx(2 / 3)
    assert rouge_l(["arm"], [["leg"]]).value == 0


def test_rouge_l_reads_other_languages_than_english():
    assert rouge_l(["la rodilla se dobló"], [["la rodilla se dobla"]]).value == pytest.approx(3 / 4)
    # Characters where no space parts the words: "膝", "弯" in common, of 3 and 2.
    assert rouge_l(["双膝弯"], [["膝弯"]]).value == pytest.approx(4 / 5)


def test_bleu_by_hand():
    # 7 words, one of them wrong in the middle of none: precisions 6/7, 5/6, 4/5, 3/4, and no penalty for brevity.
    figure = bleu(["Both knees bend to ninety degrees slowly"], [["both knees bend to ninety degrees twice"]])
    assert figure.value == pytest.approx(math.exp((math.log(6 / 7) + math.log(5 / 6) + math.log(4 / 5)
                                                   + math.log(3 / 4)) / 4), abs=1e-6)  # fmt: skip
    assert figure.n == 1 and figure.interval is None


def test_chrf_counts_letters():
    assert chrf(["squat"], [["squat"]]).value == pytest.approx(1) and chrf(["abc"], [["xyz"]]).value == 0
    assert chrf(["squats"], [["squat"]]).value > 0.7


def test_every_clip_may_have_its_own_number_of_references_and_the_interval_is_within_bounds():
    texts = ["both knees bend now", "the left arm rises to the side", "a run"] * 4
    references = [["both knees bend now", "x"], ["the right arm rises to the side"], ["a run", "b", "c"]] * 4
    for measure in (bleu, chrf, rouge_l):
        figure = measure(texts, references)
        low, high = figure.interval
        assert figure.n == 12 and 0 <= low <= figure.value <= high <= 1 and figure == measure(texts, references)


def test_a_text_without_a_reference_is_refused():
    for measure in (bleu, chrf, rouge_l):
        with pytest.raises(ValueError, match="at least one"):
            measure(["a run"], [[]])
