"""Whether a recogniser takes the place of the one in use, by what both named the same clips."""

from posellm_assets.actions.gate import Named, decide

TRUTH = ["squat"] * 10 + ["serve"] * 10
SPORTS = ["gym"] * 10 + ["tennis"] * 10
BOTH = frozenset({"squat", "serve"})


def named(right: int, of: frozenset[str] = BOTH, wrong: str | None = None) -> Named:
    """A recogniser that names the first `right` clips of each sport rightly."""
    return Named(of, [truth if place % 10 < right else wrong for place, truth in enumerate(TRUTH)])


def test_a_first_recogniser_is_promoted() -> None:
    assert decide(TRUTH, SPORTS, named(0), None, None).promote


def test_one_that_is_as_good_or_better_takes_the_place_and_one_that_is_worse_does_not() -> None:
    for right in (8, 10):
        outcome = decide(TRUTH, SPORTS, named(right), named(8), "all-0001")
        assert outcome.promote and outcome.against == "all-0001"
        assert outcome.reasons[0].startswith("Not worse than all-0001: accuracy")
    outcome = decide(TRUTH, SPORTS, named(2), named(8), "all-0001")
    assert not outcome.promote
    assert outcome.reasons[0].startswith(
        "accuracy (all clips of classes that it knew): 0.200 against 0.800 of the model in use on the same 20 "
        "cases, worse"
    )


def test_a_clip_without_an_opinion_was_not_named() -> None:
    assert not decide(TRUTH, SPORTS, named(2, wrong=None), named(8, wrong="serve"), "all-0001").promote


def test_a_loss_in_one_sport_is_not_made_up_for_by_another() -> None:
    gym = Named(BOTH, ["squat"] * 10 + ["squat"] * 10)
    tennis = Named(BOTH, ["serve"] * 10 + ["serve"] * 10)
    outcome = decide(TRUTH, SPORTS, tennis, gym, "all-0001")
    assert not outcome.promote and outcome.reasons[0].startswith("accuracy (gym): 0.000 against 1.000")


def test_classes_that_the_one_in_use_does_not_know_are_not_compared() -> None:
    old = named(8, of=frozenset({"squat"}))
    lost = Named(BOTH, [truth if truth == "serve" else "serve" for truth in TRUTH])
    outcome = decide(TRUTH, SPORTS, lost, old, "all-0001")
    assert not outcome.promote and outcome.comparisons[0].n == 10
    assert decide(TRUTH, SPORTS, Named(BOTH, ["squat"] * 20), old, "all-0001").promote


def test_one_that_lacks_a_class_of_the_one_in_use_is_refused_by_name() -> None:
    gym = Named(frozenset({"squat"}), ["squat"] * 20)
    outcome = decide(["squat"] * 20, ["gym"] * 20, gym, named(5), "all-0001")
    assert not outcome.promote
    assert outcome.reasons[0] == "It does not know serve, which all-0001, the recogniser in use, does."


def test_where_nothing_can_be_compared_a_person_decides() -> None:
    golf = Named(frozenset({"squat", "serve", "putt"}), ["putt"] * 20)
    for truth in (["putt"] * 20, ["putt"] * 19 + ["squat"]):
        outcome = decide(truth, ["golf"] * 20, golf, named(5), "all-0001")
        assert not outcome.promote and "or a person promotes this one" in outcome.reasons[0]
    gone = decide(TRUTH, SPORTS, named(10), None, "all-0001")
    assert not gone.promote and "cannot be asked any more" in gone.reasons[0]
