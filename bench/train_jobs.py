"""What `python -m posellm_assets.language.train JOB.json` does, for many jobs in one process. No bench by itself.

Writes the CPU seconds of each job beside its result. Imports nothing that Unsloth has to be imported before.
"""

import sys
import time
from pathlib import Path

from posellm_assets.language.config import StageJob
from posellm_assets.language.train import train
from posellm_assets.training import backends

for path in map(Path, sys.argv[1:]):
    job = StageJob.model_validate_json(path.read_bytes())
    backend = backends.choose(job.model.backend)
    started_s = time.process_time()
    train(job, backend, lambda message: None)
    (job.out / "cpu_s").write_text(str(time.process_time() - started_s))
