"""What a report is given: what each label is called in the languages of the captions, and which videos are rendered."""

from pathlib import Path

from posellm_assets.files import read_json, write_json
from posellm_assets.footage.register import register
from posellm_assets.jobs.evaluation import report_job
from posellm_assets.lake import Lake
from posellm_assets.settings import Settings
from posellm_assets.texts.config import TextsConfig
from posellm_assets_tests.unit.actions.clips import freeze, write_square

CLIPS = {
    "squat": {"label": "jumping_jack"},
    "saque": {"label": "sentadilla", "language": "es", "rendered": True},
    "own": {"label": "left_wobble"},
    "german": {"label": "kniebeuge", "language": "de"},
}


def test_labels_are_asked_for_in_their_own_language_and_in_others_where_a_glossary_knows_them(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for number, (name, said) in enumerate(CLIPS.items()):
        path = write_square(lake.raw / "gym" / f"{name}.mp4", "up", number)
        write_json(path.with_name(path.name + ".json"), {"participant": "ana", **said})
        register(lake, f"gym/{name}.mp4")
    keys = lake.registered_videos()
    freeze(lake, "all-0001", keys)
    frozen = read_json(lake.snapshot("all-0001"))
    for video in frozen["videos"]:
        video |= {"split": "train", "rendered": "saque" in video["key"]}
    write_json(lake.snapshot("all-0001"), frozen)
    job = report_job(lake, Settings(texts=TextsConfig(languages=("en", "zh", "es"))), "all-0001")
    assert job.names == {
        "jumping jack": {"en": "jumping jack", "zh": "开合跳", "es": "salto de tijera"},
        "sentadilla": {"en": "squat", "zh": "深蹲", "es": "sentadilla"},
        "left wobble": {"en": "left wobble"},
        "kniebeuge": {},
    }
    assert [key.split(".")[1] for key in job.rendered] == ["saque"]
