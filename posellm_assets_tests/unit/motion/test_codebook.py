"""What a tokenizer says about its codes, read without its network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from posellm_assets.lake import Lake
from posellm_assets.motion.codebook import Codebook
from posellm_assets_tests.tokens import write_codebook
from posellm_assets_tests.unit.motion.test_tokenizer import tokenizer as untrained  # noqa: F401 - a fixture


def test_what_a_tokenizer_saved_is_read_without_its_network(untrained, tmp_path: Path) -> None:  # noqa: F811
    lake = Lake(tmp_path)
    lineage = untrained.save(tmp_path / "new")
    lake.tokenizers.mkdir()
    (tmp_path / "new").rename(lake.tokenizer(lineage))
    codebook = Codebook.of(lake, lineage)
    assert (codebook.lineage, codebook.fps) == (lineage, untrained.fps)
    assert (codebook.size, codebook.codes_per_step) == (untrained.codebook_size, untrained.codes_per_step)
    assert codebook.parts == ("trunk", "left arm", "right arm", "left leg", "right leg")


def test_the_ids_of_all_layers_and_parts_count(tmp_path: Path) -> None:
    write_codebook(Lake(tmp_path), "vq-1", codes=64, layers=2, frames_per_step=4)
    codebook = Codebook.of(Lake(tmp_path), "vq-1")
    assert (codebook.size, codebook.codes_per_step, codebook.frames_per_step) == (640, 10, 4)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"config": {"codes": 1}}, "config.codes: Input should be greater than or equal to 2"),
        ({"config": {"codes": 64, "layer": 2}}, "config.layer: Extra inputs are not permitted"),
        ({"fps": 0}, "fps: Input should be greater than 0"),
        ({"schema_version": 1}, "schema_version: Input should be 3"),
    ],
)
def test_a_damaged_description_is_named_with_what_to_do(tmp_path: Path, damage: dict, reason: str) -> None:
    lake = Lake(tmp_path)
    write_codebook(lake, "vq-1", codes=64)
    path = lake.tokenizer("vq-1") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(ValueError) as caught:
        Codebook.of(lake, "vq-1")
    assert str(caught.value) == f"{path} is damaged ({reason}); copy the folder again, or train the tokenizer again"


def test_a_folder_with_another_lineage_is_refused_and_one_that_is_not_there_is_missing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_codebook(lake, "vq-1", codes=64)
    lake.tokenizer("vq-1").rename(lake.tokenizer("vq-2"))
    with pytest.raises(ValueError, match="holds the tokenizer vq-1, not vq-2"):
        Codebook.of(lake, "vq-2")
    with pytest.raises(FileNotFoundError):
        Codebook.of(lake, "vq-1")


def test_the_code_server_reads_tokens_and_codebooks_without_torch() -> None:
    code = "import sys, posellm_assets.motion.codebook, posellm_assets.motion.tokens; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
