"""What a cluster needs, proved on each of its machines: the same code, and a lake on which locks and renames hold.

A machine of the cluster acts and this one looks: what holds between two processes of one machine need not hold between
two machines.
"""

import functools
import hashlib
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import Timeout

import posellm_assets
from posellm_assets.cluster.connecting import connect, machines
from posellm_assets.commands.doctor import Finding
from posellm_assets.files import lock_at, read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.models import available_models
from posellm_assets.settings import load_settings

LIBRARIES = ("ray", "dagster", "torch", "transformers", "mediapipe", "av", "numpy", "pyarrow")
SLOW_S = 0.5
"""A small file that takes longer to write makes each clip seconds slower: it has some ten of them."""
REPLACED = 100
"""So often a file is replaced under a reader."""
_BODY = "x" * 60_000
_WAIT_S = 60.0
_FREED_S = 10.0
_HOLD = "import sys, time; from pathlib import Path; from posellm_assets.files import lock_at; lock = lock_at(Path("
_HOLD += "sys.argv[1])); lock.acquire(); Path(sys.argv[2]).touch(); time.sleep(600)"


def examine_cluster(lake: Lake) -> Iterator[Finding]:
    """Look at every machine of the cluster that the settings name, and at the lake between it and this one."""
    try:
        address = load_settings(lake).cluster.address
        if address is None:
            yield Finding("cluster", False, True, "no cluster is set", "set cluster.address: docs/cluster.md")
            return
        connect(address)
    except (ValueError, ConnectionError) as error:
        yield Finding("cluster", False, True, str(error), "put that right: docs/cluster.md")
        return
    found, root = machines(), lake.root.absolute()
    yield Finding("cluster", len(found) > 1, False, f"{len(found)} machines at {address}", "ray start --address ...")
    here = installed()
    for number, machine in enumerate(found, 1):
        name = f"{number}. {machine['NodeManagerAddress']}"
        start = functools.partial(_started, machine["NodeID"])
        yield from _installed_there(name, start, here)
        if not root.is_dir():
            yield Finding(f"{name}: lake", False, True, f"there is no {root} here", "mount it, or set POSELLM_LAKE")
            continue
        with _folder(root / f".doctor-{uuid.uuid4().hex[:8]}") as folder:
            yield from shared(name, start, folder)


Start = Callable[..., Callable[[], Any]]
"""Starts a function with its arguments on a machine; gives what waits for its result."""


def _started(node_id: str, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    reference = ray.remote(num_cpus=0, scheduling_strategy=there)(function).remote(*arguments)
    return functools.partial(ray.get, reference, timeout=2 * _WAIT_S)


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def installed() -> dict[str, str]:
    """Versions of Python and the libraries here, the digest of this project's code, and where the pose model lies."""
    digest = hashlib.sha256()
    root = Path(posellm_assets.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    found = {"Python": sys.version.split()[0], "posellm": digest.hexdigest()[:12]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    model = next(model for model in available_models() if model.name == PoseConfig().network)
    return {**found, "pose model": str(model.path) if model.present else ""}


def _installed_there(name: str, start: Start, here: dict[str, str]) -> Iterator[Finding]:
    there = start(installed)()
    model = there.pop("pose model")
    other = [f"{one} {said} (here {here[one]})" for one, said in there.items() if said != here[one]]
    said = "; ".join(other) or f"as here: {there['posellm']}, {len(there)} versions"
    yield Finding(f"{name}: code", not other, True, said, "install the same there, with the same constraints.txt")
    yield Finding(f"{name}: pose model", bool(model), True, model or "not fetched yet", "posellm models --fetch there")


def shared(name: str, start: Start, folder: Path) -> Iterator[Finding]:
    """What holds for an empty `folder` of the lake between this machine and that on which `start` starts functions."""
    seconds = start(write_files, folder / "written")()
    if seconds is None or not _appears(folder / "written"):
        remedy = f"mount the same folder at {folder.parent} there"
        yield Finding(f"{name}: lake", False, True, "what one machine writes the other does not see", remedy)
        return
    said = f"a file of {len(_BODY) // 1000} KB is written in {1000 * seconds:.0f} ms"
    yield Finding(f"{name}: lake", seconds < SLOW_S, False, said, "a faster file system: each clip writes ten of them")
    yield _lock(name, start, folder)
    yield _replacing(name, start, folder)


def write_files(path: Path) -> float | None:
    """Write a file some times; seconds for each, or None where its folder is not there."""
    if not path.parent.is_dir():
        return None
    began_s = time.monotonic()
    for _ in range(5):
        write_json(path, {"body": _BODY})
    return (time.monotonic() - began_s) / 5


def _lock(name: str, start: Start, folder: Path) -> Finding:
    lock, held, kill = (folder / one for one in ("lock", "held", "kill"))
    killed = start(hold_and_be_killed, lock, held, kill)
    if not _appears(held):
        return Finding(f"{name}: locks", False, True, "no lock can be taken there", "mount it with flock")
    exclusive = not _can_lock(lock)
    kill.touch()
    killed()
    began_s = time.monotonic()
    while not (freed := _can_lock(lock)) and time.monotonic() - began_s < _FREED_S:
        time.sleep(0.1)
    wrong = [] if exclusive else ["a lock that is held there can be taken here"]
    wrong += [] if freed else [f"the lock of a killed process is still held after {_FREED_S:.0f} s"]
    said = "; ".join(wrong) or f"exclusive, and free {time.monotonic() - began_s:.1f} s after a SIGKILL"
    return Finding(f"{name}: locks", not wrong, True, said, "mount it with locks between machines (NFS 4, not nolock)")


def hold_and_be_killed(lock: Path, held: Path, kill: Path) -> None:
    """Have a process hold `lock`, which touches `held`, and kill it once there is `kill`."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(lock), str(held)])
    _appears(kill)
    process.kill()
    process.wait()


def _can_lock(path: Path) -> bool:
    try:
        with lock_at(path).acquire(timeout=0):
            return True
    except Timeout:
        return False


def _replacing(name: str, start: Start, folder: Path) -> Finding:
    path, done = folder / "replaced", folder / "done"
    write_json(path, {"body": _BODY})
    ended = start(replace_under_a_reader, path, done)
    reads = missing = torn = 0
    while not done.exists():
        reads += 1
        try:
            torn += read_json(path) != {"body": _BODY}
        except FileNotFoundError:
            missing += 1
        except ValueError:
            torn += 1
    ended()
    said = f"of {reads} reads while a file was replaced {REPLACED} times {missing} did not find it, {torn} found half"
    remedy = "readers must find a file that is replaced: JuiceFS needs its trash on (juicefs config --trash-days 1)"
    return Finding(f"{name}: renames", not (missing or torn), True, said, remedy)


def replace_under_a_reader(path: Path, done: Path) -> None:
    """Replace a file by another of the same content again and again, then touch `done`."""
    try:
        for _ in range(REPLACED):
            write_json(path, {"body": _BODY})
    finally:
        done.touch()


def _appears(path: Path) -> bool:
    """Whether a file is there within a minute."""
    until_s = time.monotonic() + _WAIT_S
    while not (there := path.exists()) and time.monotonic() < until_s:
        time.sleep(0.05)
    return there
