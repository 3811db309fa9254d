"""The released model: one small file that points at it, replaced in one atomic write."""

from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from posellm_assets.lake import Lake, read_json, write_json


class Champion(BaseModel):
    """Which model is released, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot: str
    stage: str
    lineage: str
    reasons: list[str]
    promoted_at: str
    promoted_by: str

    def model(self, lake: Lake) -> Path:
        """The folder of the released model."""
        return lake.finished_model(self.snapshot, self.stage)


def read_champion(lake: Lake) -> Champion | None:
    """The released model of a lake, or None where nothing is released yet."""
    return Champion.model_validate(read_json(lake.champion)) if lake.champion.exists() else None


def promote(lake: Lake, *, snapshot: str, stage: str, lineage: str, reasons: list[str], by: str) -> Champion:
    """Make a stage's finished model the released one.

    Raises FileNotFoundError where the stage has no finished model.
    """
    champion = Champion(
        snapshot=snapshot,
        stage=stage,
        lineage=lineage,
        reasons=reasons,
        promoted_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        promoted_by=by,
    )
    if not champion.model(lake).exists():
        raise FileNotFoundError(f"{champion.model(lake)} does not exist: {stage} of {snapshot} has not finished")
    write_json(lake.champion, champion.model_dump())
    return champion
