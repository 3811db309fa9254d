from posellm_assets.evaluation.cases import Case, read_cases, write_cases
from posellm_assets.evaluation.retention import retention


def named(sport: str, right: list[int], first: int = 0) -> list[Case]:
    return [
        Case("naming_accuracy", f"{sport}-{number} 0", f"{sport}.{number}", sport, "squat", float(value))
        for number, value in enumerate(right, first)
    ]


def test_every_sport_has_a_row_and_every_generation_a_cell_on_the_same_cases() -> None:
    rows = retention(
        {
            "all-0001": named("gym", [1, 1, 1, 0]),
            "all-0002": [*named("gym", [1, 0, 1, 0, 1, 1]), *named("golf", [1, 1])],
            "all-0003": [*named("gym", [0, 0, 0], first=1), *named("golf", [0, 1])],
        }
    )
    assert [(row["sport"], row["figure"]) for row in rows] == [("golf", "naming_accuracy"), ("gym", "naming_accuracy")]
    golf, gym = ({name: cell and (cell["value"], cell["n"]) for name, cell in row["cells"].items()} for row in rows)
    assert golf == {"all-0001": None, "all-0002": (1.0, 2), "all-0003": (0.5, 2)}
    assert gym == {"all-0001": (2 / 3, 3), "all-0002": (1 / 3, 3), "all-0003": (0.0, 3)}
    low, high = rows[1]["cells"]["all-0001"]["interval"]
    assert low < 2 / 3 < high


def test_likelihoods_are_weighted_by_the_codes_of_a_clip() -> None:
    cases = [Case("nll_per_code", f"c{n}", "k", "gym", None, value, weight) for n, (value, weight) in
             enumerate([(1.0, 30.0), (3.0, 10.0)])]  # fmt: skip
    (row,) = retention({"all-0001": cases, "all-0002": cases})
    assert row["cells"]["all-0002"]["value"] == 1.5


def test_generations_without_a_common_case_have_no_row() -> None:
    assert retention({"all-0001": named("gym", [1]), "all-0002": named("gym", [1], first=5)}) == []


def test_cases_are_the_same_after_they_were_stored(tmp_path) -> None:
    cases = [*named("gym", [1, 0]), Case("valid_share", "a squat 0", None, "gym", None, 1.0)]
    write_cases(tmp_path / "cases.parquet", cases)
    assert read_cases(tmp_path / "cases.parquet") == cases
