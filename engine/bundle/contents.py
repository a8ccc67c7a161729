"""What a bundle says of itself: manifest.json and SHA256SUMS."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.models import sha256_of

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"


class BundledWheel(BaseModel):
    """One package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str


class Contents(BaseModel):
    """A bundle's manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    created: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    version: str = Field(description="Of tenken.")
    python: str = Field(description="That it is for, such as 3.12.")
    machine: str = Field(description="Such as x86_64.")
    extras: tuple[str, ...]
    wheels: tuple[BundledWheel, ...]
    adapters: tuple[str, ...] = ()
    model: str = Field(
        default="", description="File or directory in `model`; none: the one among the wheels."
    )


def write_sums(folder: Path) -> int:
    """Write the hashes of all files in the format of sha256sum; return how many there are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), "utf-8")
    return len(lines)
