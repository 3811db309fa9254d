"""The pool and the programs of a cluster, in the place of those of one machine."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from posellm_assets.cluster import train
from posellm_assets.cluster.config import ClusterConfig, ProgramNeeds
from posellm_assets.cluster.jobs import submit
from posellm_assets.cluster.pool import RayPool
from posellm_assets.defs.resources import PoolResource, Programs
from posellm_assets.pool import Pool
from posellm_assets.program import Job

_OF_DRIVER = ProgramNeeds(cpus=0)
"""Of what starts the workers of a training, and waits for them."""
_PLACES = re.compile(r" ran on |^\d+ items: ")


@dataclass(frozen=True)
class ClusterPool(PoolResource):
    """Work over many clips is spread over the machines of a Ray cluster."""

    cluster: ClusterConfig = field(kw_only=True)

    def pool(self) -> Pool:
        """See `PoolResource.pool`."""
        return RayPool(str(self.cluster.address), self.cluster.cpus_per_clip)


@dataclass(frozen=True)
class ClusterPrograms(Programs):
    """Runs the programs as Ray jobs, each on a machine that has room for it.

    A program whose machine is lost is started again on another, and goes on from its checkpoint in the lake. What it
    reports comes through a file beside its job, which all machines see.
    """

    cluster: ClusterConfig = field(kw_only=True)

    def carried_out(self, context: dg.AssetExecutionContext, job: Job, command: Sequence[str]) -> tuple[int, list[str]]:
        """See `Programs.carried_out`."""
        needs = self.cluster.jobs
        if job.together and self.cluster.train.workers > 1:
            command, needs = train.command(job.program, command[-1], self.cluster.train), _OF_DRIVER
        # A file of this try alone: what a run left behind may still write to its own.
        attempt = context.op_execution_context.retry_number
        messages = job.out / f".{job.program}.{context.run.run_id}.{attempt}"
        with dg.open_pipes_session(
            context=context.op_execution_context,
            context_injector=dg.PipesEnvContextInjector(),
            message_reader=dg.PipesFileMessageReader(str(messages)),
        ) as session:
            running = submit(str(self.cluster.address), command, needs, session.get_bootstrap_env_vars())
            try:
                context.log.info(f"{job.program} is the Ray job {running.name}")
                status = running.wait()
            except BaseException:  # whatever ends the step; a cancelled run raises an error of Dagster's own in here
                running.stop()
                raise
            context.log.info(f"{job.program} ran on {running.machine()}")
            print(running.output(), file=sys.stderr)
        return status, [str(message) for message in session.get_custom_messages()]


def places(instance: dg.DagsterInstance) -> Iterator[str]:
    """What the runs say of where their parts were done, oldest first."""
    for record in sorted(instance.get_run_records(), key=lambda record: record.create_timestamp):
        for entry in instance.all_logs(record.dagster_run.run_id):
            if _PLACES.search(entry.user_message):
                yield f"{record.dagster_run.job_name}: {entry.user_message}"
