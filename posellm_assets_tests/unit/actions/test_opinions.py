"""Opinions: probabilities of classes, and how sure they are."""

import math

import pytest

from posellm_assets.actions.members.opinions import Opinion, log_probabilities


def test_an_opinion_names_its_likeliest_class_and_how_sure_it_is() -> None:
    opinion = Opinion("motion", {"serve": math.log(0.7), "smash": math.log(0.3)}, 0.1)
    assert opinion.action == "serve"
    assert opinion.confidence == pytest.approx(0.7)


def test_a_temperature_above_one_takes_sureness_and_keeps_the_order() -> None:
    opinion = Opinion("motion", log_probabilities({"serve": 3.0, "smash": 0.0, "drop": 1.0}), 0.1)
    calmer = opinion.at_temperature(2.0)
    assert calmer.confidence < opinion.confidence
    assert sorted(calmer.log_probs, key=calmer.log_probs.get) == ["smash", "drop", "serve"]  # type: ignore[arg-type]
    assert sum(map(math.exp, calmer.log_probs.values())) == pytest.approx(1)


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sum to 2\.7"):
        Opinion("motion", {"serve": 1.0}, 0.1)
    with pytest.raises(ValueError, match="at least one class"):
        Opinion("motion", {}, 0.1)
    for broken in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"the score of the class 'smash' is {broken}"):
            Opinion("motion", {"serve": 0.0, "smash": broken}, 0.1)
        with pytest.raises(ValueError, match=f"the score of the class 'smash' is {broken}"):
            log_probabilities({"serve": 0.0, "smash": broken})
