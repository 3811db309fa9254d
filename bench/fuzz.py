"""Damaged and hostile files by the thousand: is anything uncaught, large or slow, and is a clip behind them lost?

Claim: of mutated clips in five containers and mutated motion capture, landmarks, tables, arrays and sidecars, each is
registered and read to its end, or refused with a reason. Nothing else is raised, no process dies, grows by 1 GB or
takes 30 s of CPU for one file, and every whole clip behind them in the drop zone is registered.

Bytes are flipped, zeroed, overwritten, cut out or doubled, under a seed. Batches are looked at by a process each, one
file a look, as the sensor does; what was registered is then read, the rest goes the way of `posellm import motion`.

    python bench/fuzz.py [--files 10000] [--seed 0] [--keep FOLDER]
"""

import argparse
import json
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.intake import WatchState, look
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.video import UnreadableVideo, frames
from posellm_assets.lake import Lake
from posellm_assets.motion.arrays import write_npy
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.formats import read_motions
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion, UnreadableMotion
from posellm_assets.motion.retarget import motion_from_capture
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.sources import Declaration
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.landmarks import COUNT
from posellm_assets.poses.poses import InvalidPoses, Poses
from posellm_assets.poses.quality import assess
from posellm_assets.poses.subjects import subject_of

LIMIT_S = 30  # of CPU: a busy machine is no fault of a file
HANG_S = 900
LIMIT_BYTES = 1 << 30
BATCH = 250
EVERY = 25  # a whole clip stands behind so many mutated files
CONTAINERS = {"mp4": "libx264", "mkv": "libx264", "ts": "mpeg2video", "avi": "mpeg4", "webm": "libvpx"}
NUMBERS = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"999999999", b"-1", b"1e308")


def seeds(folder: Path) -> list[Path]:
    """Small whole files of every kind."""
    folder.mkdir(parents=True)
    for ending, codec in CONTAINERS.items():
        clip(folder / f"clip.{ending}", codec)
    motion = person(40)
    write_bvh(motion, folder / "take.bvh")
    write_npy(motion, folder / "take.npy")
    motion.write(folder / "take.motion.parquet")
    landmarks(12).write(folder / "take.poses.parquet")
    rows = {"clip_id": ["a"], "text": ["one"], "fps": [20.0], "joints": [motion.joints.reshape(-1).tolist()]}
    table = pa.table(rows).replace_schema_metadata({"joint_names": json.dumps(BODY.joints)})
    pq.write_table(table, folder / "table.parquet")
    said = {"label": "squat", "captions": ["One."], "feedback": [{"t": 0.1, "text": "deeper"}]}
    (folder / "sidecar.json").write_text(json.dumps(said))
    return sorted(path for path in folder.iterdir() if path.name != "take.npy.json")


def clip(path: Path, codec: str, shade: int = 40) -> None:
    """Write 12 frames of a square that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            picture = np.full((48, 64, 3), shade, np.uint8)
            picture[8:24, 8 + 2 * number : 24 + 2 * number] = (200, 90, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def person(count: int) -> Motion:
    """Somebody who stands and moves the arms."""
    heights = {"pelvis": 0.95, "hip": 0.95, "knee": 0.5, "ankle": 0.09, "toe": 0.02, "shoulder": 1.45, "neck": 1.45}
    joints = np.zeros((count, len(BODY), 3))
    for number, name in enumerate(BODY.joints):
        side, _, part = name.rpartition("_")
        across = {"left": 1, "right": -1}.get(side, 0)
        ahead = 0.15 if part in ("toe", "nose") else 0.0
        joints[:, number] = (0.15 * across, heights.get(part, {"elbow": 1.2, "wrist": 1.0}.get(part, 1.6)), ahead)
        if part == "wrist":
            joints[:, number, 2] = 0.2 * np.sin(np.arange(count) / 5)
    return Motion(joints.astype(np.float32), 20.0, BODY, np.zeros(count, bool))


def landmarks(count: int) -> Poses:
    """Somebody who is a cloud of points."""
    points = np.random.default_rng(0).random((count, 1, COUNT, 3)).astype(np.float32)
    sure = np.ones(points.shape[:3], np.float32)
    return Poses(np.arange(count) / 20, points, sure, sure, points - 0.5, 640, 480, 20.0, "")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """`content` with one to eight changes; headers, at both ends, are hit more often than their share."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        size = max(1, len(changed))
        at = rng.choice((rng.randrange(size), rng.randrange(min(size, 400)), max(0, size - 1 - rng.randrange(400))))
        kind = rng.randrange(6)
        if kind == 0:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            changed[at : at + 4] = rng.choice(NUMBERS)
        elif kind == 2:
            changed[at : at + rng.randrange(64)] = b""
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randrange(256)]
        elif kind == 4:
            changed[at : at + 16] = rng.randbytes(16)
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def prepare(folder: Path, whole: list[Path], count: int, seed: int) -> None:
    """Fill the drop zone and the import folder of a batch."""
    rng = random.Random(seed)
    raw, imports = folder / "raw" / "fuzz", folder / "import"
    raw.mkdir(parents=True)
    imports.mkdir()
    for number in range(count):
        source = whole[number % len(whole)]
        content = mutated(source.read_bytes(), rng)
        if source.name == "sidecar.json":
            clip(raw / f"{number:05d}.mp4", "mpeg4", rng.randrange(256))
            (raw / f"{number:05d}.mp4.json").write_bytes(content)
        elif source.name in ("take.bvh", "take.npy", "table.parquet"):
            (imports / f"{number:05d}{source.suffix}").write_bytes(content)
            if source.suffix == ".npy":
                shutil.copy(source.with_name("take.npy.json"), imports / f"{number:05d}.npy.json")
        else:
            (raw / f"{number:05d}-{source.name}").write_bytes(content)
        if number % EVERY == EVERY - 1:
            clip(raw / f"{number:05d}-whole.mp4", "mpeg4", number % 256)
            with (raw / f"{number:05d}-whole.mp4").open("ab") as stream:
                stream.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))


def work(folder: Path) -> None:
    """Look at a batch; one line of JSON for each file: its name and what came of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    lake, state, now_s = Lake(folder), WatchState(), 1000.0
    while True:
        found = look(lake, FootageConfig(settle_s=0, max_files_per_tick=1, tick_budget_s=HANG_S), state, now_s)
        state, now_s = found.state, now_s + 10
        if not found.outcomes:
            break
        outcome = found.outcomes[0]
        net = "it cannot be read (" in (outcome.reason or "")
        tell(outcome.path, f"net: {outcome.reason}" if net else outcome.status)
        if outcome.status == "registered" and outcome.key:
            read(lake.raw / outcome.path, outcome.path)
            read_manifest(lake, outcome.key)
    for path in sorted((folder / "import").iterdir()):
        if path.suffix != ".json":
            tell(path.name, imported(path))


def read(path: Path, name: str) -> None:
    """Read what was registered to its end."""
    try:
        if path.name.endswith(".motion.parquet"):
            motion_from_capture(Motion.read(path), MotionConfig())
        elif path.name.endswith(".poses.parquet"):
            subject = subject_of(Poses.read(path))
            if assess(subject, PoseConfig()).passed:
                motion_from_poses(subject, MotionConfig())
        else:
            for _ in frames(path):
                pass
    except (UnreadableVideo, UnreadableMotion, InvalidPoses) as error:
        tell(name, f"refused when read: {type(error).__name__}")
    except ValueError as error:
        tell(name, "refused when read: ValueError" if path.suffix == ".parquet" else f"uncaught: {error!r}")
    except Exception as error:  # noqa: BLE001 - what else is raised is what this looks for
        tell(name, f"uncaught: {error!r}")
    else:
        tell(name, "read")


def imported(path: Path) -> str:
    """What `posellm import motion` makes of a file."""
    try:
        for found in read_motions(path, Declaration()):
            motion_from_capture(found.motion, MotionConfig())
    except ValueError as error:
        return "refused at import" if str(path) in str(error) or "stretch" in str(error) else f"uncaught: {error!r}"
    except Exception as error:  # noqa: BLE001 - what else is raised is what this looks for
        return f"uncaught: {error!r}"
    return "imported"


def tell(name: str, what: str) -> None:
    """Write a line for the parent, at once."""
    print(json.dumps({"file": name, "what": what, "cpu_s": time.process_time()}), flush=True)


def run_batch(folder: Path, log: Path) -> tuple[Counter[str], list[str], float]:
    """Counts of outcomes, faults, and the most CPU seconds between two lines of a batch."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    slowest_s, last = 0.0, "nothing yet"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert child.stdout
        registered, used_s = set(), 0.0
        while True:
            if not select.select([child.stdout], [], [], HANG_S)[0]:
                child.kill()
                faults.append(f"{folder}: hangs after {last}")
                break
            line = child.stdout.readline()
            if not line:
                break
            said = json.loads(line)
            took_s, used_s = said["cpu_s"] - used_s, said["cpu_s"]
            if last != "nothing yet":
                slowest_s = max(slowest_s, took_s)
                if took_s > LIMIT_S:
                    faults.append(f"{folder}: {said['file']} took {took_s:.0f} s of CPU")
            last = said["file"]
            counts[said["what"].split(":")[0]] += 1
            if said["what"] == "registered":
                registered.add(last)
            if said["what"].startswith(("uncaught", "net")):
                faults.append(f"{folder}: {last}: {said['what']}")
    if child.wait():
        faults.append(f"{folder}: the process ended with {child.returncode} after {last}: {log.read_text()[-1500:]}")
    whole = {f"fuzz/{path.name}" for path in (folder / "raw" / "fuzz").glob("*-whole.mp4")}
    counts["whole"], counts["whole registered"] = len(whole), len(whole & registered)
    faults += [f"{folder}: {name} was not registered" for name in sorted(whole - registered)]
    return counts, faults, slowest_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="Folder for the files, which are removed otherwise.")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        root = given.keep or Path(name)
        whole = seeds(root / "seeds")
        folders = []
        for number in range(0, given.files, BATCH):
            folders.append(root / f"batch-{number:06d}")
            prepare(folders[-1], whole, min(BATCH, given.files - number), given.seed * 1_000_003 + number)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda folder: run_batch(folder, folder / "log.txt"), folders))
    counts = sum((one for one, _, _ in found), Counter[str]())
    faults = [fault for _, some, _ in found for fault in some]
    print(f"{given.files} files in {time.monotonic() - began:.0f} s: {dict(counts)}")
    print(f"slowest file {max(slowest for _, _, slowest in found):.1f} s of CPU; {len(faults)} faults")
    for fault in faults[:40]:
        print(fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
