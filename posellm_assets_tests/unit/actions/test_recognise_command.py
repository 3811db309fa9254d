"""`posellm recognise` and `posellm evaluate actions` where something is missing or broken."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posellm_assets.actions.members.classifier import LabelledMotion
from posellm_assets.cli import app
from posellm_assets.commands import recognise
from posellm_assets.commands.recognise import recognise_videos
from posellm_assets.lake import Lake
from posellm_assets.settings import Settings
from posellm_assets_tests.releases import put_recogniser_in_use
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video
from posellm_assets_tests.unit.texts.athletes import MOVEMENTS


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a recogniser that knows two movements."""
    lake = Lake(tmp_path / "lake")
    examples = [
        LabelledMotion(MOVEMENTS[name][0](3.0, 1.0, MOVEMENTS[name][1]), name, name) for name in ("squat", "bow")
    ]
    put_recogniser_in_use(lake, examples, ["squat", "bow"])
    return lake


def test_without_a_recogniser_the_next_step_is_named(tmp_path: Path) -> None:
    for command in (["recognise", "clip.mp4"], ["evaluate", "actions"]):
        result = CliRunner().invoke(app, [*command, "--lake", str(tmp_path)])
        assert isinstance(result.exception, ValueError)
        assert "run the job train_actions" in str(result.exception)


def test_of_a_folder_every_broken_video_is_named_and_the_others_are_looked_at(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").touch()
    (folder / "b.mp4").write_text("no video")
    write_grey_video(folder / "c.mp4", [30], [90])
    (folder / "notes.txt").touch()
    (folder / "deeper" / "still").mkdir(parents=True)
    (folder / "deeper" / "still" / "d.mp4").write_text("no video either")
    result = CliRunner().invoke(app, ["recognise", str(folder), "--json", "--lake", str(lake.root)])
    assert result.exit_code == 1
    said = result.stderr
    assert "a.mp4: the file is empty (0 bytes)" in said and "b.mp4" in said
    assert "deeper/still/d.mp4" in said
    assert "c.mp4" in said and "person" in said, "nobody is in the grey video"
    assert json.loads(result.stdout) == []


def test_a_folder_without_videos_and_an_unknown_method_are_refused(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = CliRunner().invoke(app, ["recognise", str(tmp_path / "empty"), "--lake", str(lake.root)])
    assert "holds no video" in str(empty.exception)
    guess = CliRunner().invoke(app, ["recognise", "x.mp4", "--method", "guess", "--lake", str(lake.root)])
    assert "--method is one of clip, hits, windows" in str(guess.exception)


def test_what_is_found_in_sub_folders_is_written_as_it_goes(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "clips", tmp_path / "out"
    for place in ("day 1/a.mp4", "day 2/a.mp4"):
        (folder / place).parent.mkdir(parents=True)
        write_grey_video(folder / place, [30], [90])
    clip = cycles(takes("squat", 1)[0], 2)
    monkeypatch.setattr(recognise, "poses_of", lambda *_: (None, None))
    monkeypatch.setattr(recognise, "subject_of", lambda _: seen(clip))
    found = recognise_videos(lake, Settings(), folder, None, "clip", out)
    first, _ = next(found)
    assert first == folder / "day 1/a.mp4"
    written = lambda: sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())  # noqa: E731
    assert written() == [f"day 1/a.{ending}" for ending in ("annotated.mp4", "html", "json")], "before the next"
    assert len(list(found)) == 1 and "day 2/a.json" in written()
