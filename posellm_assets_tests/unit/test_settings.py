from pathlib import Path

import pytest

from posellm_assets.lake import Lake
from posellm_assets.settings import load_settings
from posellm_assets.yaml_files import read_yaml


def test_a_script_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake")
    (tmp_path / "posellm.yaml").write_text(
        "seed: 1\nautomation: {rules: {all: {min_new_videos: 3}}, max_videos_per_run: 7}\n"
    )
    assert load_settings(lake).seed == 1

    monkeypatch.setenv("POSELLM_AUTOMATION__RULES__ALL__MIN_NEW_VIDEOS", "4")
    assert load_settings(lake).automation.rules["all"].min_new_videos == 4
    assert load_settings(lake).automation.max_videos_per_run == 7

    changed = load_settings(lake, {"automation": {"rules": {"all": {"min_new_videos": 5}}}, "seed": 2})
    assert (changed.seed, changed.automation.rules["all"].min_new_videos) == (2, 5)
    assert changed.automation.max_videos_per_run == 7


@pytest.mark.parametrize("content", ["poses: {no_such_setting: 1}", "no_such_room: {}", "- a list", "seed: tomorrow"])
def test_a_setting_that_does_not_exist_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "posellm.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"no_such_setting|no_such_room|posellm\.yaml|seed"):
        load_settings(Lake(tmp_path / "lake"))


def test_a_rule_for_something_that_is_no_scope_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Table Tennis' is no scope"):
        load_settings(Lake(tmp_path), {"automation": {"rules": {"Table Tennis": {"min_new_videos": 5}}}})


STAGE = {"name": "first", "tasks": {"t2m": 1.0}, "steps": 1}


@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ({"stages": []}, "stages"),
        ({"stages": [STAGE, STAGE]}, "two stages are called 'first'"),
        ({"stages": [STAGE | {"name": "a/../b"}]}, "name"),
        ({"stages": [STAGE | {"name": ""}]}, "name"),
        ({"sampling": {"min_length": 2.0, "max_length": 1.5}}, "min_length 2 is over max_length 1.5"),
    ],
)
def test_stages_and_lengths_that_cannot_be_are_refused(tmp_path: Path, language: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_settings(Lake(tmp_path), {"language": language})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"poses:\n\n  min_covrage: 1\n", "line 3: poses.min_covrage is not known; did you mean min_coverage?"),
        (b"seed: 1\npose: {max_people: 2}\n", "line 2: pose is not known; did you mean poses?"),
        (b"seed: 1\nposes: {max_people: 2\n", "line 3 is not YAML"),
        (b"seed: 1\n\tposes: 2\n", "line 2 is not YAML"),
        (b"seed: 1\nseed: 2\n", "line 2: seed is there already on line 1; keep one"),
        (b"poses:\n  max_people: many\n", "line 2: poses.max_people: Input should be a valid integer"),
        (b"language:\n  stages:\n  - {name: a, tasks: {t2m: 1}, steps: 1}\n  - {name: b, tasks: {t2m: 1}, step: 1}\n",
         "line 4: language.stages.1.step is not known; did you mean steps?"),
        (b"seed: \xe9\n", "is not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_is_named_with_its_line_and_the_nearest_key(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "posellm.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"posellm\.yaml") as error:
        load_settings(Lake(tmp_path / "lake"))
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("POSELLM_POSE__MAX_PEOPLE", "2", "did you mean POSELLM_POSES__MAX_PEOPLE?"),
        ("POSELLM_POSES__MAX_PEPLE", "2", "poses.max_peple is not known; did you mean max_people?"),
        ("POSELLM_POSES__MAX_PEOPLE", "many", "valid integer"),
        ("POSELLM_SEDE", "2", "did you mean POSELLM_SEED?"),
        ("POSELLM_POSES", "{", "give it as JSON"),
    ],
)
def test_what_is_wrong_in_a_variable_is_said_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    (tmp_path / "posellm.yaml").write_text("poses: {max_people: 1}\n")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name if name != "POSELLM_POSES" else "poses") as error:
        load_settings(Lake(tmp_path / "lake"))
    assert complaint in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "posellm.yaml").write_bytes("# Größe\nseed: 3\n".encode(encoding))
    assert load_settings(Lake(tmp_path / "lake")).seed == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "line 1 is not YAML: it is nested deeper than 50 levels"),
        (b"\n".join(b" " * depth + b"a:" for depth in range(60)), "line 50 is not YAML: it is nested deeper"),
        (b"a: &a [*a]", "nested deeper than 50 levels"),
        (
            b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + b"\n".join(b"%c: &%c [%s]" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(9)),
            "more than 100,000 keys and items",
        ),
    ],
    ids=["flow", "block", "round", "aliases"],
)
def test_yaml_that_is_nested_too_deep_or_stands_for_too_much_is_refused_at_once(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=rf"x\.yaml.* {words}"):
        read_yaml(content, "x.yaml")
