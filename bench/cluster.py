"""The whole demo on one machine, and over a cluster of two (both this one) with Postgres: the same files, times aside.

Claim: every file is the same, and the cluster takes at most 1.3 times as long on a machine with nothing else to do.

    python bench/cluster.py [--here LAKE]            LAKE is a finished demo, whose time is then not known
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lakes import compared

MOST = 1.3


def timed(module: list[str], **environment: str) -> float:
    """Run a module to its end; seconds."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-m", *module], env={**os.environ, **environment}, check=True)
    return time.monotonic() - began_s


def main() -> None:
    """Print both times and what differs."""
    parser = argparse.ArgumentParser(description="The demo over a cluster beside that on one machine.")
    parser.add_argument("--here", type=Path, help="The lake of a demo that was run on one machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="posellm-cluster-") as made:
        folder, here_s = Path(made), None
        here = given.here
        if here is None:
            here, home = folder / "here", folder / "home"
            home.mkdir()
            here_s = timed(["posellm_assets", "demo"], POSELLM_LAKE=str(here), DAGSTER_HOME=str(home))
        there_s = timed(["posellm_assets.commands.cluster_demo", str(folder)])
        lost, different = compared(here, folder / "lake")
    print(f"the demo over a cluster took {there_s:.0f} s", f"on one machine {here_s:.0f} s" if here_s else "", sep=", ")
    print(f"{len(lost)} files are missing, {len(different)} are others", *lost, *different, sep="\n  ")
    slow = here_s is not None and there_s > MOST * here_s
    if here_s:
        print(f"the cluster takes {there_s / here_s:.2f} of the time (claim: at most {MOST})")
    sys.exit(1 if lost or different or slow else 0)


if __name__ == "__main__":
    main()
