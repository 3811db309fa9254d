"""`python -m posellm_assets.defs.webserver`: `dagster-webserver` behind the guard, beside the lake's reports."""

import os
from typing import Any

from dagster_webserver import cli

from posellm_assets.defs.guard import Guard
from posellm_assets.defs.pages import Pages
from posellm_assets.lake import Lake
from posellm_assets.settings import load_settings


def main() -> None:
    """Serve the UI until it is stopped."""
    lake = Lake(os.environ.get("POSELLM_LAKE", "data_lake"))
    hosts = load_settings(lake).ui.hosts
    unguarded = cli.create_app_from_workspace_process_context

    def guarded(*arguments: Any, **options: Any) -> Guard:
        return Guard(Pages(unguarded(*arguments, **options), lake), hosts)

    cli.create_app_from_workspace_process_context = guarded  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
