"""Motion-LLM JSON from others: what is right is read, what is wrong is named with its line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.commands.importing import import_examples
from posellm_assets.footage.splits import SPLITS, split_of
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import Lake
from posellm_assets.language.clips import read_clips
from posellm_assets.language.config import ModelConfig, StageConfig
from posellm_assets.language.formats.adopt import adopt
from posellm_assets.language.formats.export import export_dataset
from posellm_assets.language.formats.motion_llm import Entry, UnreadableDataset, read_entries
from posellm_assets.language.plan import SHAPES
from posellm_assets.settings import load_settings
from posellm_assets_tests.unit.language.samples import SMALL

STAGES = (StageConfig(name="stage1", tasks={"motion": 1.0}, steps=2),)

BY_HAND = """[
  {"text_query": "wave", "motion_tokens": "42 18 91 18 42 18 91 18", "participant_id": "7"},
  {"text_query": "a person \\"waves\\" 👋",
   "motion_tokens": "42 18 91 18 42 18 91 19", "participant_id": 8},
  {"word": "bow", "motion_tokens": "3 3 3 3 4 4 4 4"}
]
"""


def dataset(folder: Path, content: str | bytes) -> Path:
    path = folder / "motions.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    assert read_entries(dataset(tmp_path, BY_HAND), 512) == [
        Entry("wave", (42, 18, 91, 18, 42, 18, 91, 18), "7"),
        Entry('a person "waves" 👋', (42, 18, 91, 18, 42, 18, 91, 19), "8"),
        Entry("bow", (3, 3, 3, 3, 4, 4, 4, 4)),
    ]


GOOD = '{"text_query": "wave", "motion_tokens": "1 2"}'


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("  \n ", 2, "the file is empty"),
        ("[]", 1, "the list is empty"),
        (GOOD, 1, "not a JSON list"),
        (f"[{GOOD},\n", 2, "not JSON"),
        (f"[{GOOD}\n{GOOD}]", 2, "a comma or the end of the list is missing"),
        (f"[{GOOD}]\nmore", 2, "something follows"),
        (f'[{GOOD},\n\n{{"motion_tokens": "1"}}]', 3, "text_query is missing"),
        (f'[{GOOD},\n{{"text_query": "wave"}}]', 2, "motion_tokens is missing"),
        (f'[{GOOD},\n{{"text_query": " ", "motion_tokens": "1"}}]', 2, "text_query is a text"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": "1 512"}}]', 2, "code 512 in place 2 is outside"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": "1 -2"}}]', 2, "'-2' in place 2"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": ""}}]', 2, "holds no code"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": NaN}}]', 2, "NaN is not a value"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": "1 nan"}}]', 2, "'nan' in place 2"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": [1, 2]}}]', 2, "motion_tokens is a text of code ids"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": "1", "speed": 2}}]', 2, "no field speed"),
        (f"[{GOOD},\n[1, 2]]", 2, "an entry is an object"),
        (f'[{GOOD},\n{{"text_query": "wave", "motion_tokens": "{"7 " * 1_000_000}"}}]', 2, "holds 1000000 codes"),
        ("[\n" + "[" * 100_000, 2, "nested too deeply"),
        (f'[{GOOD},\n{{"text_query": "w", "motion_tokens": "1", "participant_id": true}}]', 2, "participant_id is"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: str, line: int, reason: str) -> None:
    path = dataset(tmp_path, content)
    with pytest.raises(UnreadableDataset) as error:
        read_entries(path, 512)
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert reason in str(error.value)


def test_an_id_that_is_given_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    entry = '{"id": "a", "text_query": "wave", "motion_tokens": "1 2"}'
    with pytest.raises(UnreadableDataset, match="line 3: the id 'a' was given on line 2 already"):
        read_entries(dataset(tmp_path, f"[\n{entry},\n{entry}]"), 512)


def test_a_file_that_is_not_utf_8_is_named_with_the_line_of_the_first_wrong_byte(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDataset, match="line 2: this is not UTF-8"):
        read_entries(dataset(tmp_path, b'[\n"\xff"]'), 512)


def people(count: int) -> list[dict]:
    """Two movements, each done by `count` people."""
    codes = {"wave": [1, 2, 3, 2] * 3, "bow": [7, 7, 8, 8, 9, 9] * 2}
    return [
        {"text_query": text, "motion_tokens": " ".join(map(str, [*tokens, person])), "participant_id": str(person)}
        for person in range(count)
        for text, tokens in codes.items()
    ]


def test_a_dataset_comes_out_as_it_went_in_and_nobody_is_in_two_splits(tmp_path: Path) -> None:
    path = dataset(tmp_path, json.dumps(people(20)))
    stages = (StageConfig(name="stage1", tasks={"motion": 1.0}, steps=2),)
    counts, _ = adopt(path, 24, tmp_path / "adopted", stages, ModelConfig(tiny=SMALL), seed=0)
    assert sum(counts.values()) == 40 and min(counts.values()) > 0
    export_dataset(tmp_path / "adopted", "motion-llm", tmp_path / "out", {})
    by_split = {file.stem: read_entries(file, 24) for file in sorted((tmp_path / "out").glob("*.json"))}
    back = [entry for entries in by_split.values() for entry in entries]
    assert sorted(back, key=str) == sorted(read_entries(path, 24), key=str)
    who = [{entry.participant for entry in entries} for entries in by_split.values()]
    assert sum(map(len, who)) == len(set().union(*who)) == 20


def test_a_dataset_trains_through_all_stages(tmp_path: Path) -> None:
    path = dataset(tmp_path, json.dumps(people(12)))
    stages = (
        StageConfig(name="stage1", tasks={"motion": 1.0}, steps=3),
        StageConfig(name="stage2", tasks={"t2m": 0.5, "m2t": 0.5}, steps=3),
    )
    _, jobs = adopt(path, 24, tmp_path / "adopted", stages, ModelConfig(tiny=SMALL, backend="hf"), seed=0)
    for job in jobs:
        program = [sys.executable, "-m", "posellm_assets.language.train", str(job)]
        subprocess.run(program, check=True, capture_output=True, text=True)
    result = json.loads((tmp_path / "adopted" / "stage2" / "result.json").read_text())
    assert (tmp_path / "adopted" / "stage2" / "final" / "model.safetensors").exists()
    assert result["steps"] == 3


def test_a_dataset_without_anybody_to_train_on_is_refused(tmp_path: Path) -> None:
    held_out = next(entry for entry in people(40) if split_of(entry["participant_id"]) != "train")
    path = dataset(tmp_path, json.dumps([held_out]))
    with pytest.raises(ValueError, match="none of its 1 entries falls into the train split"):
        adopt(path, 64, tmp_path / "adopted", (), ModelConfig(), seed=0)
    assert not (tmp_path / "adopted").exists()


def video(key: str, participant: str | None, split_codes: int) -> list[dict]:
    """The rows of one clip: as it was filmed, mirrored and played faster."""
    return [
        {
            "key": key, "segment": 0, "variant": variant, "mirrored": variant == "mirrored", "sport": "gym",
            "label": None, "participant": participant, "texts": [f"{key} {variant}", "twice"],
            "texts_of_parts": None, "codes": [split_codes, number, 5, 5, 6, 7, 8, 9],
        }
        for number, variant in enumerate(("original", "mirrored", "speed-1.2"))
    ]  # fmt: skip


def exported(folder: Path, **splits: list[dict]) -> Path:
    (folder / "examples").mkdir()
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), folder / "examples" / f"{split}.parquet")
    export_dataset(folder / "examples", "motion-llm", folder / "exported", {})
    return folder / "exported"


def keys(folder: Path) -> dict[str, set[str]]:
    return {split: set(pq.read_table(folder / f"{split}.parquet")["key"].to_pylist()) for split in SPLITS}


def test_variants_of_a_clip_stay_together_in_what_comes_back(tmp_path: Path) -> None:
    rows = [row for number in range(30) for row in video(f"gym.squat.{number:08x}", None, number % 10)]
    out = exported(tmp_path, train=rows)
    adopt(out / "train.json", 10, tmp_path / "adopted", STAGES, ModelConfig(), seed=0)
    found = keys(tmp_path / "adopted")
    assert sum(map(len, found.values())) == 30 and min(map(len, found.values())) > 0
    clips = read_clips(tmp_path / "adopted" / "train.parquet", 10)
    assert {len(clip.views) for clip in clips} == {6}, "each variant with each of its texts"


def test_an_exported_folder_keeps_its_splits(tmp_path: Path) -> None:
    split = {"train": video("a", "7", 1) + video("b", None, 2), "val": video("c", "8", 3), "test": video("d", "9", 4)}
    out = exported(tmp_path, **split)
    counts, _ = adopt(out, 10, tmp_path / "adopted", STAGES, ModelConfig(), seed=0)
    assert counts == {"train": 12, "val": 6, "test": 6}
    assert keys(tmp_path / "adopted") == {"train": {"a", "b"}, "val": {"c"}, "test": {"d"}}
    shutil.copy(out / "train.json", out / "test.json")
    with pytest.raises(ValueError, match=r"test\.json: 7 is in train\.json already"):
        adopt(out, 10, tmp_path / "again", STAGES, ModelConfig(), seed=0)


def test_a_base_that_is_left_to_the_machine_is_chosen_when_a_dataset_is_imported(tmp_path: Path) -> None:
    path = dataset(tmp_path, json.dumps(people(12)))
    settings = load_settings(Lake(tmp_path / "lake"), {"language": {"model": {"base": "auto"}}})
    _, jobs = import_examples(path, 24, 1, tmp_path / "adopted", settings)
    assert {json.loads(job.read_text())["model"]["base"] for job in jobs} < {*SHAPES}


def test_codes_of_several_layers_are_adopted_as_such(tmp_path: Path) -> None:
    entries = [{"text_query": "wave", "motion_tokens": "1 9 2 8", "clip_id": str(n)} for n in range(20)]
    path = dataset(tmp_path, json.dumps(entries))
    _, jobs = adopt(path, 16, tmp_path / "adopted", STAGES, ModelConfig(), seed=0, layers=2)
    assert json.loads(jobs[0].read_text())["codes_per_step"] == 2
    assert read_clips(tmp_path / "adopted" / "train.parquet", 16, 2)
    for tokens, reason in (
        ("1 2", "code 2 in place 2 is of another quantiser layer"),
        ("1 9 2", "no whole time steps"),
    ):
        path = dataset(tmp_path, json.dumps([{"text_query": "wave", "motion_tokens": tokens}]))
        with pytest.raises(UnreadableDataset, match=reason):
            adopt(path, 16, tmp_path / "again", STAGES, ModelConfig(), seed=0, layers=2)
    with pytest.raises(ValueError, match="do not divide into 3 layers"):
        adopt(path, 16, tmp_path / "again", STAGES, ModelConfig(), seed=0, layers=3)


def test_a_folder_that_holds_something_is_not_imported_into(tmp_path: Path) -> None:
    path = dataset(tmp_path, json.dumps(people(12)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.parquet").write_text("a user's own")
    with pytest.raises(ValueError, match="mine is there and not empty"):
        adopt(path, 24, tmp_path / "mine", STAGES, ModelConfig(), seed=0)
    assert [(one.name, one.read_text()) for one in (tmp_path / "mine").iterdir()] == [("train.parquet", "a user's own")]
