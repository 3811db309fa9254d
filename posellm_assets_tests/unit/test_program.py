import subprocess
import sys
import time
from pathlib import Path

from posellm_assets_tests.waits import HANG_S

PROGRAM = """
import sys, time
from pathlib import Path
from pydantic import BaseModel
from posellm_assets.program import claim_job

class Job(BaseModel):
    seconds: float

job = claim_job(Job)
log = Path(sys.argv[1]).with_name("log")
with log.open("a") as stream:
    stream.write("begins\\n")
time.sleep(job.seconds)
with log.open("a") as stream:
    stream.write("ends\\n")
"""


def start(job: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(job)], stdout=subprocess.PIPE, text=True)


def wait_for_line(log: Path) -> None:
    deadline = time.monotonic() + HANG_S
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_two_programs_never_work_on_one_job_at_the_same_time(tmp_path: Path) -> None:
    job, log = tmp_path / "job.json", tmp_path / "log"
    job.write_text('{"seconds": 600}')
    killed = start(job)
    wait_for_line(log)
    job.write_text('{"seconds": 0}')
    second = start(job)
    assert second.stdout and "waiting for its end" in second.stdout.readline()
    assert log.read_text() == "begins\n"
    killed.kill()
    assert second.wait(HANG_S) == 0
    assert log.read_text() == "begins\nbegins\nends\n", "a killed program holds nobody up"
    for process in (killed, second):
        process.communicate()
