"""A pushed model is the exported folder, private, and the token stays out of what is printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from posellm_assets.commands.exporting import export_model
from posellm_assets.files import write_json
from posellm_assets.generations.snapshots import Snapshot
from posellm_assets.generations.tokenizers import adopt_tokenizer
from posellm_assets.lake import Lake
from posellm_assets.language.config import ModelConfig
from posellm_assets.language.formats.card import CARD_FIGURES, model_card
from posellm_assets.language.origin import Origin
from posellm_assets.reports.metrics import Figure
from posellm_assets_tests.hub_server import Fault, Hub, Repository, serving
from posellm_assets_tests.tokens import write_held_out, write_tokenizer_training
from posellm_assets_tests.unit.test_generate import lake_with

TOKEN = "hf_secret_of_the_test"
CODE = """
import sys
from pathlib import Path
from posellm_assets.commands.exporting import push
print(push(Path(sys.argv[1]), "me/model", public="--public" in sys.argv))
"""


def push(folder: Path, hub: Hub, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder.parent)}
    return subprocess.run(
        [sys.executable, "-c", CODE, str(folder), *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_folder_is_pushed_in_one_commit_to_a_private_repository(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "motion_tokenizer").mkdir(parents=True)
    (folder / "README.md").write_text("# A model\n")
    (folder / "model.safetensors").write_bytes(os.urandom(5000))
    (folder / "motion_tokenizer" / "config.json").write_text("{}")
    with serving(TOKEN) as hub:
        done = push(folder, hub, TOKEN)
        assert done.returncode == 0, done.stderr
        pushed = hub.repositories["me/model"]
        assert pushed.private and len(pushed.commits) == 2, "an empty one, and one with all files"
        assert pushed.files == {".gitattributes": b""} | {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        refused = push(folder, hub, "hf_wrong_but_secret_too")
    assert refused.returncode == 1
    assert "me/model" in refused.stderr
    assert "hf_wrong" not in refused.stderr + refused.stdout and TOKEN not in done.stdout + done.stderr


def test_a_public_repository_gets_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "vocabulary.json").write_text('{"participants": ["ana"]}')
    with serving(TOKEN) as hub:
        hub.repositories["me/model"] = Repository(private=False)
        refused = push(folder, hub, TOKEN)
        assert refused.returncode == 1 and "me/model is public" in refused.stderr and "--public" in refused.stderr
        assert len(hub.repositories["me/model"].commits) == 1 and not any("preupload" in one for one in hub.requests)
        hub.faults.append(Fault("POST", "/commit/", 409))
        told = push(folder, hub, TOKEN, "--public")
        assert told.returncode == 0, told.stderr
        assert "vocabulary.json" in hub.repositories["me/model"].files

        environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        command = ["export", "model", "--out", str(tmp_path / "out"), "--push", "me/model", "--lake", str(tmp_path)]
        early = subprocess.run(
            [sys.executable, "-m", "posellm_assets", *command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
    assert early.returncode == 1 and "me/model is public" in early.stderr and not (tmp_path / "out").exists()


def test_an_exported_model_names_no_path_of_this_machine(tmp_path: Path) -> None:
    lake, out = Lake(tmp_path / "lake"), tmp_path / "out"
    write_tokenizer_training(lake, "vq-1", train=["gym.squat.0000000a"])
    adopt_tokenizer(lake, reasons=["It is the first."], by="a test")
    snapshot = Snapshot(
        snapshot="all-0001", scope="all", created_at="2026-01-01T00:00:00+00:00", lineage="vq-1", parent=None,
        videos=[], settings={"language": {"stages": [{"name": "stage1"}]}}, code_version="0",
    )  # fmt: skip
    write_json(lake.snapshot("all-0001"), snapshot.model_dump())
    final = lake.finished_model("all-0001", "stage1")
    final.mkdir(parents=True)
    (final / "model.safetensors").write_bytes(b"weights")
    Origin.of_base(ModelConfig(base=str(tmp_path / "bases" / "mine"))).write(final)
    write_json(final.parent / "result.json", {"clips": 3})
    export_model(lake, "all-0001", out, adapter=False)
    exported = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {"README.md", "model.safetensors", "motion_tokenizer/config.json"} <= set(exported)
    assert json.loads(exported["motion_tokenizer/report.json"])["held_out"]["error_limit_mm"] == 80.0
    assert [name for name, content in exported.items() if str(tmp_path).encode() in content] == []


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no language model is in use"):
        export_model(Lake(str(tmp_path / "lake")), None, tmp_path / "out", adapter=False)
    with pytest.raises(ValueError, match="has no snapshot all-0001"):
        export_model(Lake(str(tmp_path / "lake")), "all-0001", tmp_path / "out", adapter=False)
    with pytest.raises(ValueError, match="exists already"):
        export_model(Lake(str(tmp_path / "lake")), None, tmp_path, adapter=False)


def test_the_card_warns_of_what_goes_along_with_the_weights() -> None:
    said = model_card("all-0001", "somebody/base", False, 12, "vq-1", {})
    assert "`vocabulary.json` holds the names of participants, `taught.json` the texts of the training" in said
    assert "base_model: somebody/base" in said
    assert "AutoModelForCausalLM.from_pretrained" in said and "a person does a squat" in said, "how it is asked"


def test_the_card_tells_few_figures_and_in_words() -> None:
    figures = {name: Figure(value=0.9, n=30, interval=(0.8, 0.95)) for name in (*CARD_FIGURES, "fid_real", "bleu_said")}
    said = model_card("all-0001", "tiny", False, 12, "vq-1", figures)
    rows = [line for line in said.splitlines() if line.startswith("| ")][2:]
    assert len(rows) <= 10 and "names the movement | 90 % | 80 to 95 % | 30" in said
    assert not [name for name in figures if name in said], "ids are for metrics.json"


def test_the_code_of_the_card_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = lake_with(tmp_path, {"t2m": 1.0})
    (lineage,) = (path.name for path in lake.tokenizers.iterdir())
    write_held_out(lake, lineage, error_limit_mm=80.0)
    snapshot = Snapshot(
        snapshot="all-0001", scope="all", created_at="2026-01-01T00:00:00+00:00", lineage=lineage, parent=None,
        videos=[], settings={"language": {"stages": [{"name": "stage1"}]}}, code_version="0",
    )  # fmt: skip
    write_json(lake.snapshot("all-0001"), snapshot.model_dump())
    monkeypatch.chdir(tmp_path)
    export_model(lake, None, Path("my-model"), adapter=False)
    made, codes = re.findall("```python\n(.*?)```", Path("my-model/README.md").read_text(), re.DOTALL)
    exec(made, {})
    assert Path("squat.bvh").stat().st_size > 1000
    exec(codes, {})
    assert "<T2M>" in capsys.readouterr().out
