"""How long measuring takes, before it begins: as the project's last run here took, or as it usually does."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.history.stages import write_json

SPEEDS = "speeds.json"
_CPU_ITEM, _GPU_ITEM = 2.5, 0.05
_SYSTEMS = 3  # candidate, champion and base


class Speed(BaseModel):
    """How fast this machine measures."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seconds_per_item: float = Field(gt=0, description="Of one system.")

    @classmethod
    def load(cls, history: Path, *, gpu: bool) -> Speed:
        """Return what the last run measured, else what the 270M takes on two CPU cores, or on a GPU."""
        try:
            return cls.model_validate_json((history / SPEEDS).read_bytes())
        except (OSError, ValidationError):
            return cls(seconds_per_item=_GPU_ITEM if gpu else _CPU_ITEM)

    @classmethod
    def of(cls, items: int, seconds: float) -> Speed:
        """Return the speed at which all systems were measured on so many items."""
        return cls(seconds_per_item=seconds / (_SYSTEMS * items))

    def save(self, history: Path) -> None:
        """Keep it for the next run."""
        write_json(history / SPEEDS, self.model_dump())

    def seconds(self, items: int) -> float:
        """Return how long measuring all systems takes."""
        return _SYSTEMS * items * self.seconds_per_item
