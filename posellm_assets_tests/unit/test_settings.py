from pathlib import Path

import pytest

from posellm_assets.lake import Lake
from posellm_assets.settings import load_settings


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
