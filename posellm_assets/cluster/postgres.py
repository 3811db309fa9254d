"""A PostgreSQL server of Debian's in a folder of its own, for the demo and the tests of a cluster."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

USER, DATABASE, HOST = "dagster", "dagster", "127.0.0.1"
_SYSTEM_USER = "postgres"
_START_S = 300


class NoPostgres(RuntimeError):
    """There is no PostgreSQL here to start."""


@dataclass(frozen=True)
class Postgres:
    """A server on a port of this machine, which may be killed and started again."""

    programs: Path
    folder: Path
    port: int

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -h {HOST} -k {self.folder}"
        log = ["-l", str(self.folder / "log")]
        self._run("pg_ctl", "-w", "-t", str(_START_S), "-D", str(self._data), *log, "-o", options, "start")

    def kill(self) -> None:
        """End it without a word, as a power cut does, where it runs."""
        known = self._data / "postmaster.pid"
        if not known.exists() or not psutil.pid_exists(number := int(known.read_text().split()[0])):
            return
        server = psutil.Process(number)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def make(self) -> None:
        """An empty database on a new server, which is then running."""
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-N")
        self.start()
        self._run("createdb", "-h", HOST, "-p", str(self.port), "-U", USER, DATABASE)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:  # which it refuses to be
            command = ["setpriv", "--reuid", _SYSTEM_USER, "--regid", _SYSTEM_USER, "--clear-groups", *command]
        with (self.folder / "output").open("ab") as output:
            subprocess.run(command, check=True, cwd=self.folder, stdout=output, stderr=output)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A new server with an empty database, which anybody on this machine may use, and which is gone afterwards.

    Raises NoPostgres where it is not installed.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise NoPostgres("there is no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="posellm-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _SYSTEM_USER)
    server = Postgres(programs[-1], folder, free_port())
    try:
        server.make()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
