"""The code location as a whole, as the webserver and the daemon load it."""

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
