"""The code location as a whole, as the webserver and the daemon load it."""

import subprocess
import sys

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


def test_the_code_server_starts_without_what_only_the_work_needs() -> None:
    slow = ("torch", "mediapipe", "transformers", "matplotlib", "pandas", "scipy.optimize", "scipy.signal", "cv2")
    code = f"import sys, posellm_assets.definitions; print([one for one in {slow} if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
