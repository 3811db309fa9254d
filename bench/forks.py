"""A command in a fork of this process, so that a restart does not load torch again. No bench by itself."""

import os
import sys
import traceback
from collections.abc import Callable


def fork(command: Callable[[], object]) -> int:
    """Run `command` in a fork; returns its process id. The fork says on its standard error why it failed."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        command()
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must end here whatever happens
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def came_to_its_end(child: int, said: Callable[[], str]) -> bool:
    """Wait for a fork: whether it ended by itself, or was killed.

    Raises RuntimeError with what it `said` where it failed.
    """
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"the command failed by itself:\n{said()}")
    return os.WIFEXITED(status)
