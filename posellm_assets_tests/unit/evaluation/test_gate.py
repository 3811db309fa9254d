from posellm_assets.evaluation.config import GateConfig
from posellm_assets.evaluation.gate import decide
from posellm_assets.evaluation.metrics import share

GATE = GateConfig(retained=("nll_per_code", "naming_accuracy"), tolerance=0.02)


def metrics(nll: float | None = 2.0, named: int | None = 18) -> dict:
    figures = {}
    if nll is not None:
        figures["nll_per_code"] = {"value": nll, "n": 20, "interval": [nll - 0.1, nll + 0.1]}
    if named is not None:
        figures["naming_accuracy"] = share(named, 20).model_dump()
    return {"figures": figures, "absent": {"naming_accuracy": "no clip of the test split has a label"}}


def test_the_first_model_is_released():
    assert decide(metrics(), None, GATE).promote


def test_a_model_that_is_as_good_or_better_replaces_the_champion():
    assert decide(metrics(), metrics(), GATE).promote
    assert decide(metrics(nll=1.0, named=20), metrics(), GATE).promote


def test_a_model_that_lost_what_the_champion_could_do_is_not_released_and_the_reason_names_it():
    decision = decide(metrics(nll=1.0, named=9), metrics(), GATE)
    assert not decision.promote
    assert decision.reasons[0].startswith("naming_accuracy: 0.450 (n=20) against the champion's 0.900 (n=20")


def test_lower_is_better_for_surprise():
    assert not decide(metrics(nll=2.3), metrics(nll=2.0), GATE).promote
    assert decide(metrics(nll=1.7), metrics(nll=2.0), GATE).promote


def test_a_difference_within_the_champions_interval_is_not_worse():
    assert decide(metrics(nll=2.09, named=17), metrics(nll=2.0, named=18), GATE).promote
    assert not decide(metrics(nll=2.11), metrics(nll=2.0), GATE).promote


def test_without_an_interval_the_tolerance_counts():
    old, new, worse = metrics(), metrics(), metrics()
    for content, value in ((old, 1.0), (new, 1.015), (worse, 1.03)):
        content["figures"]["nll_per_code"] = {"value": value, "n": 20, "interval": None}
    assert decide(new, old, GATE).promote and not decide(worse, old, GATE).promote


def test_a_figure_that_only_the_champion_has_keeps_the_champion():
    decision = decide(metrics(named=None), metrics(), GATE)
    assert not decision.promote and "no clip of the test split has a label" in decision.reasons[0]


def test_a_figure_that_only_the_new_model_has_does_not_stand_in_its_way():
    decision = decide(metrics(), metrics(named=None), GATE)
    assert decision.promote and any("not measured for the champion" in reason for reason in decision.reasons)


def test_nothing_to_compare_keeps_the_champion():
    assert not decide(metrics(None, None), metrics(None, None), GATE).promote
