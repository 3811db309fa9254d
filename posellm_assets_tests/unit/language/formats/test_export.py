"""Exported datasets are loaded by the library that others load them with."""

import json
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from posellm_assets.language.formats.export import export_dataset
from posellm_assets_tests.unit.language.samples import examples


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    folder.mkdir()
    examples(folder / "train.parquet")
    examples(folder / "val.parquet", clips_per_label=1, variants=1, seed=1, label="squat", texts=["squat"])
    return folder


def load(folder: Path, cache: Path) -> datasets.DatasetDict:
    loaded = datasets.load_dataset(str(folder), cache_dir=str(cache))
    assert isinstance(loaded, datasets.DatasetDict)
    return loaded


@pytest.mark.parametrize("to", ["alpaca", "chat", "parquet", "motion-llm"])
def test_datasets_loads_every_format_by_its_card(source: Path, tmp_path: Path, to: str) -> None:
    counts = export_dataset(source, to, tmp_path / "out", {"snapshot": "all-0001"})
    loaded = load(tmp_path / "out", tmp_path / "cache")
    assert {split: len(rows) for split, rows in loaded.items()} == counts
    assert set(counts) == {"train", "validation"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| train | {counts['train']} | 12 | 4 |" in card and "- snapshot: all-0001" in card


def test_alpaca_asks_both_ways_and_names_the_movement_first(source: Path, tmp_path: Path) -> None:
    export_dataset(source, "alpaca", tmp_path / "out", {})
    first = pq.read_table(source / "train.parquet").to_pylist()[0]
    motion = "".join(f"<motion_{code}>" for code in first["codes"])
    records = load(tmp_path / "out", tmp_path / "cache")["train"].to_list()
    assert set(records[0]) == {"instruction", "input", "output"}
    assert [(record["input"], record["output"]) for record in records[:4]] == [
        ("squat", motion),
        (motion, "squat"),
        (first["texts"][1], motion),
        (motion, first["texts"][1]),
    ]


def test_chat_lines_are_a_question_and_its_answer(source: Path, tmp_path: Path) -> None:
    export_dataset(source, "chat", tmp_path / "out", {})
    line = json.loads((tmp_path / "out" / "validation.jsonl").read_text().splitlines()[1])
    assert [message["role"] for message in line["messages"]] == ["user", "assistant"]
    assert line["messages"][1]["content"] == "squat" and line["task"] == "m2t"


def test_parquet_holds_the_examples_as_they_are(source: Path, tmp_path: Path) -> None:
    export_dataset(source, "parquet", tmp_path / "out", {})
    assert pq.read_table(tmp_path / "out" / "train.parquet").to_pylist() == (
        [{**row, "texts_of_parts": None, "names": None} for row in pq.read_table(source / "train.parquet").to_pylist()]
    )


def test_a_folder_with_something_in_it_and_an_unknown_format_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not empty"):
        export_dataset(source, "alpaca", source, {})
    with pytest.raises(ValueError, match="'csv' is not a format; choose alpaca, chat, parquet, motion-llm"):
        export_dataset(source, "csv", tmp_path / "out", {})
    with pytest.raises(ValueError, match="holds no examples"):
        export_dataset(tmp_path, "alpaca", tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
