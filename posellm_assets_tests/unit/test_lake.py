import ast
from pathlib import Path

import pytest

from posellm_assets import lake as layout
from posellm_assets.keys import InvalidKey
from posellm_assets.lake import Lake

KEY = "tennis.serve.9f3a12cd"


def test_every_file_of_a_video_lies_under_its_sport(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for path in (
        lake.footage(KEY),
        lake.poses(KEY),
        lake.motion(KEY),
        lake.captions(KEY),
        lake.motion_tokens("vq-1", KEY),
    ):
        assert path.parent.name == "tennis"
        assert path.name.startswith(KEY)


def test_no_path_is_built_from_an_unchecked_name(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(InvalidKey):
        lake.poses("tennis.../../x.9f3a12cd")
    with pytest.raises(ValueError, match="cannot name a folder"):
        lake.tokenizer("../../etc")
    with pytest.raises(ValueError, match="cannot name a folder"):
        lake.stage("all-0001", "a..b")


def test_a_lake_is_a_folder_and_a_url_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="mount it, and give the folder"):
        Lake("memory://lake-of-a-test")


def test_a_stage_counts_as_a_finished_model_once_its_model_is_there(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.finished_models() == []
    for stage in ("stage1", "stage2"):
        lake.stage("all-0001", stage).mkdir(parents=True)
    model = lake.finished_model("all-0001", "stage2")
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert lake.finished_models() == [model]


def test_what_lies_in_the_lake_is_named_in_one_module() -> None:
    names = {value for name, value in vars(layout).items() if name.isupper() and not name.startswith("_")}
    assert {"final", "metrics.json", "losses.jsonl"} <= names
    package = Path(layout.__file__).parent
    for module in sorted(set(package.rglob("*.py")) - {Path(layout.__file__)}):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in names, f"{module.relative_to(package)}:{node.lineno} says {node.value!r}"


def test_snapshots_and_problems_are_found_by_their_files(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert (lake.frozen_snapshots(), lake.recorded_problems()) == ([], [])
    for path in (lake.snapshot("all-0001"), lake.snapshot("tennis-0002"), lake.problem("poses", KEY)):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    (lake.snapshots / "all-0003").mkdir()
    assert sorted(lake.frozen_snapshots()) == ["all-0001", "tennis-0002"]
    assert lake.recorded_problems() == [lake.problem("poses", KEY)]
