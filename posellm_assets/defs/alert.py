"""A message to somebody when a run has failed: the sensor around a webhook."""

import html
import os
from typing import Any

import dagster as dg
import httpx

from posellm_assets.defs.resources import LakeResource
from posellm_assets.reports.plain import visible

_TIMEOUT_S = 10.0
_LONGEST = 1000


def message(run: dg.DagsterRun, reason: str) -> dict[str, Any]:
    """What is sent: which run failed, at what, and why. Markup of a chat in it stays text."""
    partition = run.tags.get("dagster/partition", "")
    said = visible(f"{run.job_name} {partition} failed (run {run.run_id[:8]}): {reason}")
    return {"text": html.escape(said[:_LONGEST], quote=False)}


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Tells of a failed run by a webhook, where `automation.alert_variable` names one.",
)
def run_failure_alert(
    context: dg.RunFailureSensorContext, lake: dg.ResourceParam[LakeResource]
) -> dg.SkipReason | None:
    """Send the reason why a run failed. An address that does not take it fails the tick, which the UI shows."""
    variable = lake.load_settings().automation.alert_variable
    if variable is None:
        return dg.SkipReason("automation.alert_variable names no environment variable")
    if not (address := os.environ.get(variable)):
        raise dg.Failure(f"the environment variable {variable} of automation.alert_variable is not set")
    told = message(context.dagster_run, context.failure_event.message or "no reason was logged")
    try:
        answer = httpx.post(address, json=told, timeout=_TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # its words may hold the address, which is a secret
        raise dg.Failure(f"the address in {variable} was not reached: {type(error).__name__}") from None
    if answer.status_code >= 300:
        raise dg.Failure(f"the address in {variable} answered {answer.status_code}")
    return None
