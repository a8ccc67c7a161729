"""An adapter's life within a project: candidate, champion, retired or rejected. Values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_PROJECT = "default"
"""Whose champion serves a project that has none of its own."""


class AdapterState(StrEnum):
    """What may be done with an adapter."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"  # serves; one in a project at most
    RETIRED = "retired"  # was champion, and may be again
    REJECTED = "rejected"  # never serves


class Action(StrEnum):
    """How an adapter became champion."""

    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class RegisteredAdapter(BaseModel):
    """An adapter of a project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    version: str = Field(description="Its name with its content hash.")
    name: str
    path: str = Field(description="Its directory, below the data directory.")
    base_model: str
    base_sha256: str
    state: AdapterState
    scores: dict[str, float]
    created: datetime = Field(description="When it was trained.")
    added: datetime = Field(description="When it came to this project.")


class Promotion(BaseModel):
    """A change of champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    version: str
    action: Action
    actor: str = Field(description="Who asked for it, as far as it was said.")
    at: datetime


def score_rows(adapters: Sequence[RegisteredAdapter]) -> list[tuple[str, list[float | None]]]:
    """Return each score's name with its value for every adapter, None where it was not measured."""
    names = sorted({name for adapter in adapters for name in adapter.scores})
    return [(name, [adapter.scores.get(name) for adapter in adapters]) for name in names]
