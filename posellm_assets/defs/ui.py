"""`python -m posellm_assets.defs.ui`: `dagster dev` with the guarded webserver, and the same options."""

from collections.abc import Sequence
from typing import Any

from dagster._cli import dev

WEBSERVER, DAEMON = "dagster_webserver", "dagster._daemon"


def main() -> None:
    """Run the webserver, the daemon and the code server until they are stopped."""
    start = dev.open_ipc_subprocess

    def starting(command: Sequence[str], **options: Any) -> Any:
        python, flag, module, *rest = command
        if (flag, module) not in (("-m", WEBSERVER), ("-m", DAEMON)):
            raise RuntimeError(f"this Dagster starts {module}, which is not known: the UI would not be guarded")
        return start(
            [python, flag, "posellm_assets.defs.webserver" if module == WEBSERVER else module, *rest], **options
        )

    dev.open_ipc_subprocess = starting  # type: ignore[assignment]
    dev.dev_command()


if __name__ == "__main__":
    main()
