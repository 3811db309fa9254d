"""Settings of a cluster."""

from pydantic import Field

from posellm_assets.records import Record


class ProgramNeeds(Record):
    """What a machine sets aside for a training or evaluation program."""

    cpus: float = Field(default=1, ge=0, description="Cores that each training or evaluation program is given")
    gpus: float = Field(default=0, ge=0, description="GPUs that each is given; it goes where there are as many")
    memory_gib: float = Field(default=0, ge=0, description="GiB of memory that each is promised; 0 promises none")


class ClusterTraining(Record):
    """A training over several machines."""

    workers: int = Field(
        default=1, ge=1, description="Processes, on several machines, that share each step of a training"
    )
    gpus_per_worker: float = Field(default=0, ge=0, description="GPUs that each of them is given, beside one core")


class ClusterConfig(Record):
    """The machines that work together; see docs/cluster.md."""

    address: str | None = Field(
        default=None, description="HOST:PORT of the head of a Ray cluster, or 'auto'; all is done here if not given"
    )
    cpus_per_clip: float = Field(default=1, gt=0, description="Cores that the work on one clip is given")
    jobs: ProgramNeeds = ProgramNeeds()
    train: ClusterTraining = ClusterTraining()
