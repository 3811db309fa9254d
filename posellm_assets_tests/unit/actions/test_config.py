from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from posellm_assets.actions.config import ActionsConfig
from posellm_assets.lake import Lake
from posellm_assets.settings import load_settings
from posellm_assets_tests.conftest import ROOT

DOCUMENTED = ROOT / "docs" / "actions.yaml"


def keys(model: BaseModel) -> dict[str, object]:
    values = {name: getattr(model, name) for name in type(model).model_fields}
    return {name: keys(value) if isinstance(value, BaseModel) else None for name, value in values.items()}


def keys_of(content: dict[str, object]) -> dict[str, object]:
    return {name: keys_of(value) if isinstance(value, dict) else None for name, value in content.items()}


def test_the_documented_settings_show_every_key_and_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSELLM_SETTINGS", str(DOCUMENTED))
    actions = load_settings(Lake(tmp_path)).actions
    assert actions.model.trained == "lora" and actions.model.lora_rank == 64
    expected = keys(ActionsConfig())
    del expected["model"]["tiny"]  # type: ignore[attr-defined]  # the built-in model's shape
    assert keys_of(yaml.safe_load(DOCUMENTED.read_text())["actions"]) == expected


def test_only_the_model_that_knows_nothing_is_trained_in_full_unless_asked() -> None:
    assert ActionsConfig().model.trained == "full"
    assert ActionsConfig.model_validate({"model": {"base": "Qwen/Qwen3-VL-2B-Instruct"}}).model.trained == "lora"
