from collections.abc import Sequence

from posellm_assets.evaluation.cases import Case, figure_of
from posellm_assets.evaluation.config import GateConfig
from posellm_assets.evaluation.gate import ModelFigures, Released, decide
from posellm_assets.reports.metrics import Figure

GATE = GateConfig(retained=("nll_per_code", "naming_accuracy"), improved=("nll_per_code",), tolerance=0.02)
SPORTS = ("gym", "tennis")


def measured(
    named: Sequence[int],
    nll: Sequence[float] = (),
    figures: dict[str, Figure] | None = None,
    fresh_nll: Sequence[float] = (),
) -> ModelFigures:
    """Cases that take turns in two sports, and cases of a new sport."""
    cases = [
        Case(figure, f"{figure}{number}", f"known.{number}", SPORTS[number % 2], None, float(value))
        for figure, values in (("naming_accuracy", named), ("nll_per_code", nll))
        for number, value in enumerate(values)
    ]
    cases += [Case("nll_per_code", f"golf{n}", f"golf.{n}", "golf", "putt", value) for n, value in enumerate(fresh_nll)]
    overall = {
        name: figure_of([case for case in cases if case.figure == name]) for name in {case.figure for case in cases}
    }
    return ModelFigures(overall | (figures or {}), {"naming_accuracy": "no clip of the test split has a label"}, cases)


def released(measured: ModelFigures | None, known: int = 40) -> Released:
    return Released("all-0001", {f"known.{number}" for number in range(known)}, {"squat"}, measured)


NAMED, NLL = [1] * 18 + [0] * 2, [2.0 + 0.1 * (number % 5) for number in range(20)]


def test_the_first_model_is_released() -> None:
    assert decide(measured(NAMED, NLL), None, GATE).promote


def test_a_model_that_is_as_good_or_better_replaces_the_champion() -> None:
    assert decide(measured(NAMED, NLL), released(measured(NAMED, NLL)), GATE).promote
    decision = decide(measured([1] * 20, [value - 1 for value in NLL]), released(measured(NAMED, NLL)), GATE)
    assert decision.promote
    assert {comparison.verdict for comparison in decision.comparisons if comparison.figure == "nll_per_code"} == {
        "better"
    }


def test_a_model_that_lost_what_the_champion_could_do_is_refused_and_the_reason_names_it() -> None:
    decision = decide(measured([1] * 9 + [0] * 11, NLL), released(measured(NAMED, NLL)), GATE)
    assert not decision.promote
    assert decision.reasons[0].startswith(
        "names the movement (all that it knew): 0.450 against 0.900 of the model in use on the same 20 "
        "cases, worse (-0.450; "
    )


def test_the_gain_of_a_share_stays_within_what_it_can_be() -> None:
    decision = decide(measured([0] + [1] * 9, NLL[:10]), released(measured([0] * 10, NLL[:10])), GATE)
    intervals = [one.interval for one in decision.comparisons if one.figure == "naming_accuracy" and one.interval]
    assert intervals and all(-1 <= low <= high <= 1 for low, high in intervals)


def test_a_loss_in_one_sport_is_not_made_up_for_by_another() -> None:
    before = [1, 0] * 10
    now = [0, 1] * 10
    decision = decide(measured(now, NLL), released(measured(before, NLL)), GATE)
    assert not decision.promote
    assert decision.reasons[0].startswith(
        "names the movement (gym): 0.000 against 1.000 of the model in use on the same 10"
    )


def test_what_is_lost_and_won_on_the_same_cases_is_told_from_chance_by_their_differences() -> None:
    """The same mean loss of 0.1: on every case alike it is real, in a difference that goes both ways it is not."""
    champion = released(measured(NAMED, NLL))
    alike = measured(NAMED, [value + 0.1 + 0.01 * (number % 3) for number, value in enumerate(NLL)])
    mixed = measured(NAMED, [value + 0.1 + (1 if number % 4 < 2 else -1) for number, value in enumerate(NLL)])
    assert not decide(alike, champion, GATE).promote
    assert decide(mixed, champion, GATE).promote


def test_a_certain_loss_that_is_too_small_to_matter_does_not_count() -> None:
    champion = released(measured(NAMED, NLL))
    now = measured(NAMED, [value + 0.03 for value in NLL])
    assert decide(now, champion, GATE).promote
    assert not decide(now, champion, GATE.model_copy(update={"tolerance": 0.0})).promote


def test_of_what_is_new_something_has_to_be_better_and_nothing_worse() -> None:
    champion = released(measured(NAMED, NLL, fresh_nll=[4.0, 4.2, 4.1]))
    learned = decide(measured(NAMED, NLL, fresh_nll=[3.0, 3.3, 3.1]), champion, GATE)
    assert learned.promote and "new to it" in learned.reasons[-1] and "better" in learned.reasons[-1]
    same = decide(measured(NAMED, NLL, fresh_nll=[4.0, 4.2, 4.1]), champion, GATE)
    assert not same.promote and same.reasons[0].startswith("Not better: nats per code (new to it): 4.100 against")
    worse = decide(measured(NAMED, NLL, fresh_nll=[5.0, 5.3, 5.1]), champion, GATE)
    assert not worse.promote and "worse" in worse.reasons[0]


def test_new_cases_do_not_count_among_what_is_retained() -> None:
    champion = released(measured(NAMED, NLL, fresh_nll=[1.0, 1.1]), known=0)
    decision = decide(measured(NAMED, NLL, fresh_nll=[0.5, 0.6]), champion, GATE)
    assert not decision.promote and "No retained figure can be compared" in decision.reasons[0]


def test_generated_motion_is_retained_where_the_champion_knew_its_label() -> None:
    champion = released(None)
    of_label = {label: Case("valid_share", "", None, "gym", label, 1.0) for label in ("squat", "putt", None)}
    assert [champion.knows(case) for case in of_label.values()] == [True, False, True]


def test_a_figure_without_cases_is_compared_with_the_champions_own_interval() -> None:
    gate = GATE.model_copy(update={"retained": ("fid_generated",)})

    def with_fid(value: float, interval: tuple[float, float] | None) -> ModelFigures:
        return measured(NAMED, NLL, {"fid_generated": Figure(value=value, n=20, interval=interval)})

    champion = released(with_fid(1.0, (0.8, 1.2)))
    assert decide(with_fid(1.15, None), champion, gate).promote
    refused = decide(with_fid(1.3, None), champion, gate)
    assert not refused.promote and "FID (all" in refused.reasons[0]
    without = released(with_fid(1.0, None))
    assert decide(with_fid(1.015, None), without, gate).promote
    assert not decide(with_fid(1.03, None), without, gate).promote


def test_a_figure_that_only_the_champion_has_keeps_the_champion() -> None:
    decision = decide(measured([], NLL), released(measured(NAMED, NLL)), GATE)
    assert not decision.promote and "no clip of the test split has a label" in decision.reasons[0]


def test_a_figure_that_only_the_new_model_has_does_not_stand_in_its_way() -> None:
    decision = decide(measured(NAMED, NLL), released(measured([], NLL)), GATE)
    assert decision.promote and any("not measured for the champion" in reason for reason in decision.reasons)


def test_nothing_to_compare_keeps_the_champion() -> None:
    assert not decide(measured([], []), released(measured([], [])), GATE).promote
    assert not decide(measured([1], [1.0]), released(measured([1], [2.0])), GATE).promote


def test_a_champion_of_other_codes_stays_until_a_person_says_otherwise() -> None:
    decision = decide(measured(NAMED, NLL), released(None), GATE)
    assert not decision.promote and "all-0001" in decision.reasons[0] and "another tokenizer" in decision.reasons[0]
