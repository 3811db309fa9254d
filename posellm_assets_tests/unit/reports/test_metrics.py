import numpy as np
import pytest

from posellm_assets.reports.metrics import (
    ANY,
    SHARE,
    accuracy,
    average,
    confusion,
    distinct_n,
    length_error,
    majority_label,
    named_label,
    resampled,
    share,
)
from posellm_assets.reports.text_metrics import rouge_l


# Intervals of Newcombe (Statistics in Medicine 17, 1998), table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_a_share_has_the_interval_of_wilson(successes: int, n: int, interval: tuple[float, float]):
    figure = share(successes, n)
    assert figure.value == successes / n and figure.n == n
    assert figure.interval == pytest.approx(interval, abs=5e-5)


def test_a_share_of_nothing_is_refused_rather_than_zero():
    with pytest.raises(ValueError, match="n > 0"):
        accuracy([], [])


def test_an_average_over_clips_counts_long_ones_for_more_and_refuses_what_is_not_finite():
    assert average([1.0, 4.0], [3, 1]).value == pytest.approx(1.75)
    assert average([2.0]).interval is None
    with pytest.raises(ValueError, match="finite"):
        average([1.0, float("nan")])


def test_no_interval_reaches_beyond_what_there_can_be():
    assert average([0.0, 0.0, 0.1]).interval == (0.0, pytest.approx(0.0987, abs=1e-3))
    assert average([1.0, 1.0, 0.9], limits=SHARE).interval == (pytest.approx(0.9013, abs=1e-3), 1.0)
    low, high = average([-0.1, 0.1], limits=ANY).interval or (0.0, 0.0)
    assert low == -high < -0.1
    assert rouge_l(["a b", "a b", "a c"], [["a b"], ["a b"], ["a b"]]).interval[1] <= 1.0


def test_the_interval_of_an_average_covers_the_truth_about_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    intervals = [average(rng.normal(3.0, 2.0, 60).tolist()).interval for _ in range(400)]
    assert 0.92 < np.mean([low <= 3.0 <= high for low, high in filter(None, intervals)]) < 0.98


def test_a_bootstrap_interval_holds_the_figure_and_shrinks_with_the_cases() -> None:
    few, many = (
        resampled(lambda chosen, right=right: float(right[chosen].mean()), len(right))
        for right in (np.tile([1.0, 0.0], 10), np.tile([1.0, 0.0], 500))
    )
    assert few.interval and many.interval
    assert few.interval[0] < 0.5 < few.interval[1]
    assert many.interval[1] - many.interval[0] < 0.3 * (few.interval[1] - few.interval[0])
    assert resampled(lambda chosen: 0.5, 1).interval is None


def test_length_error_is_measured_against_the_median_reference():
    assert length_error(15, [10, 10, 40]) == pytest.approx(0.5) and length_error(10, [8, 12]) == 0


def test_distinct_n_is_the_share_of_runs_that_are_different():
    # Runs of two: 12, 21, 12 and 12: two different ones of four.
    assert distinct_n([[1, 2, 1, 2], [1, 2], [3]], 2).value == pytest.approx(2 / 4)
    assert distinct_n([[1, 1, 2]], 1).value == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="at least 3 codes"):
        distinct_n([[1, 2]], 3)


def test_confusion_has_a_column_for_texts_that_name_no_label():
    counts = confusion(["jump", "jump", "walk"], ["jump", None, "jump"], ["jump", "walk"])
    assert counts == [[1, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("squat: both knees bend", "squat"),
        ("Jump squat (gym), 3 times", "jump squat"),
        ("a person does a lunge.", "lunge"),
        ("squat, then a lunge", None),
        ("both knees bend", None),
        ("squatting", None),
        ("jump squat and squat", "jump squat"),
        ("squat (gym): both knees lunge", "squat"),
        ("squat, lunge: both knees bend", None),
        ("set 2: lunge", "lunge"),
    ],
)
def test_a_text_names_a_label_only_if_it_holds_its_words_and_those_of_no_other(text: str, named: str | None):
    assert named_label(text, ["lunge", "squat", "jump squat"]) == named


def test_the_commonest_label_is_the_first_in_the_alphabet_where_several_are():
    assert majority_label(["walk", "jump", "jump"]) == "jump" and majority_label(["walk", "jump"]) == "jump"
