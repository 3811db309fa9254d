"""The code location as a whole, as the webserver and the daemon load it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posellm_assets.definitions import defs


def test_every_asset_job_and_sensor_loads_beside_the_others() -> None:
    repository = defs.get_repository_def()
    repository.load_all_definitions()
    assert {job.name for job in repository.get_all_jobs()} >= {
        "ingest_footage",
        "train_tokenizer",
        "tokenise_motion",
        "train_generation",
        "train_actions",
        "predict_actions",
        "train_coach",
        "train_coaching",
        "label_coaching",
    }


def test_every_asset_says_what_it_is_where_its_code_stands_and_when_it_is_overdue() -> None:
    graph = defs.get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.description and asset.owners and asset.freshness_policy, key
        if asset.is_materializable:
            (code,) = asset.metadata["dagster/code_references"].code_references
            line = Path(code.file_path).read_text().splitlines()[code.line_number - 1]
            assert line.lstrip().startswith(("def ", "@")), (key, line)
    for key in graph.asset_check_keys:
        assert graph.get_check_spec(key).description, key


def test_the_code_server_starts_without_what_only_the_work_needs() -> None:
    slow = ("torch", "mediapipe", "transformers", "matplotlib", "pandas", "scipy.optimize", "scipy.signal", "cv2")
    code = f"import sys, posellm_assets.definitions; print([one for one in {slow} if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# How Dagster itself carries a run out and logs it; `resources` and `ops` take any words and heed none.
RUN_CONFIG = ("execution.config", "loggers.console.config")


def settable(config_type: Any, path: str = "") -> Iterator[str]:
    """The paths in a run config whose values Dagster checks, which are those that somebody reads."""
    for name, field in getattr(config_type, "fields", {}).items():
        yield from settable(field.config_type, f"{path}.{name}".lstrip("."))
    if not hasattr(config_type, "fields") and config_type.given_name != "Any":
        yield path


def test_run_config_sets_no_teacher_judge_hub_or_root_and_nothing_else_of_the_projects() -> None:
    for job in defs.get_repository_def().get_all_jobs():
        found = list(settable(job.run_config_schema.run_config_schema_type))
        assert found and all(path.startswith(RUN_CONFIG) for path in found), (job.name, found)
