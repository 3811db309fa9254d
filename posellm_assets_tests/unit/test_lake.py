import os
from pathlib import Path

import pytest

from posellm_assets.files import read_json, whole_folder, write_atomic, write_json
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


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def broken(stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, broken)
    assert read_json(path) == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_lake_is_a_folder_and_a_url_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="mount it, and give the folder"):
        Lake("memory://lake-of-a-test")


def test_json_that_is_damaged_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text("{")
    with pytest.raises(ValueError, match=r"champion\.json is not valid JSON"):
        read_json(tmp_path / "champion.json")


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_a_folder_is_there_as_it_was_until_all_of_the_new_one_is(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for content in ("old", "new"):
        with whole_folder(folder) as filled:
            (filled / content).write_text(content)
            assert [path.name for path in folder.glob("*")] == (["old"] if content == "new" else [])
    with pytest.raises(KeyError), whole_folder(folder) as filled:
        (filled / "half").write_text("a part of")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]
