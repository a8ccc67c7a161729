"""How a project's history becomes training data: one TOML file with a table a stage."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.toml_settings import load_settings


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CollectSettings(_Table):
    """What is read of a project."""

    sources: int = Field(default=2000, ge=0, description="Source files of the default branch, at most.")
    file_bytes: int = Field(default=200_000, ge=1, description="A larger file is left out.")
    quiet_hunks: int = Field(default=8, ge=0, description="Hunks without a remark, at most, of each version.")
    reactions: bool = Field(default=False, description="Read the emoji on people's remarks too.")
    bots: tuple[str, ...] = Field(
        default=(), description="Accounts that are bots though GitLab does not say so."
    )
    requests_per_second: float = Field(default=10.0, gt=0, description="Of GitLab, at most.")


class RedactSettings(_Table):
    """What is replaced."""

    personal: bool = Field(default=True, description="Mail addresses, telephone numbers, names and the like.")
    entropy: float = Field(
        default=4.3, gt=0, description="Bits a character above which a literal is a secret."
    )


class CurateSettings(_Table):
    """Which remarks are kept."""

    min_role: int = Field(default=20, ge=0, le=50, description="Access level; 20 reporter, 30 developer.")
    own_mr: bool = Field(default=False, description="Keep what authors remark on their own merge request.")
    min_length: int = Field(default=12, ge=0, description="Characters of a remark.")
    max_length: int = Field(default=1500, ge=1, description="Characters of a remark.")
    similarity: float = Field(
        default=0.85, gt=0, le=1, description="Remarks this alike, code included, are one."
    )
    repeats: int = Field(default=10, ge=1, description="The same words on different code, so often at most.")
    author_share: float = Field(default=0.4, gt=0, le=1, description="Of all remarks, one author's at most.")
    author_free: int = Field(
        default=50, ge=0, description="So many of anybody's are kept, whatever the share."
    )
    samples: int = Field(default=5, ge=0, description="Shown for each reason in the report.")


class LabelSettings(_Table):
    """How remarks become items."""

    rows: int = Field(default=40, ge=4, description="Of a hunk, at most.")
    clean_share: float = Field(default=1.0, ge=0, description="Clean items for each item with a finding.")
    accepted_only: bool = Field(default=False, description="Leave out remarks of which nothing is known.")
    seed: int = Field(default=0, description="Of the windows that are drawn.")


class SplitSettings(_Table):
    """What is held out."""

    dev: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the items, from the latest but the test's."
    )
    test: float = Field(default=0.1, ge=0, lt=1, description="Share of the items, from the latest.")
    similarity: float = Field(default=0.8, gt=0, le=1, description="Training items this alike are left out.")


class HistorySettings(_Table):
    """All stages."""

    collect: CollectSettings = CollectSettings()
    redact: RedactSettings = RedactSettings()
    curate: CurateSettings = CurateSettings()
    label: LabelSettings = LabelSettings()
    split: SplitSettings = SplitSettings()


def load_history_settings(path: Path | None) -> HistorySettings:
    """Return the settings of a TOML file, or the usual ones. Raises ConfigError naming file and key."""
    return load_settings(path, HistorySettings)
