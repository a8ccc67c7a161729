"""What a review reports: findings, their severity, category and fingerprint.

Pure values. How a finding is shown is `engine.formats`; where it goes in a merge request is the bot's.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Severity(StrEnum):
    """How much a finding matters, ordered: info < minor < major < critical."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position in the order, 0 for info to 3 for critical."""
        return list(Severity).index(self)

    # str brings all four comparisons, so none may be left to functools.total_ordering.
    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


class Category(StrEnum):
    """What kind of problem a finding is."""

    BUG = "bug"
    SECURITY = "security"
    PERFORMANCE = "performance"
    MAINTAINABILITY = "maintainability"
    STYLE = "style"
    DOCS = "docs"
    TEST = "test"


class Verdict(StrEnum):
    """The review in one word."""

    CLEAN = "clean"
    COMMENTS = "comments"
    CHANGES_NEEDED = "changes_needed"


class Finding(BaseModel):
    """One remark about a range of lines in the new version of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="Path in the new version, relative to the repository.")
    line: int = Field(ge=1, description="First line in the new version of the file.")
    end_line: int = Field(ge=1, description="Last line, inclusive; equal to `line` for one line.")
    severity: Severity
    category: Category
    message: str = Field(min_length=1, description="Plain text in the requested language.")
    suggestion: str | None = Field(
        default=None, description="Text that replaces lines `line` to `end_line`, without a final newline."
    )
    confidence: float = Field(
        ge=0, le=1, description="Calibrated probability that the line deserves a remark."
    )
    code: str = Field(default="", description="The lines as they stand in the new version.")
    fingerprint: str = Field(
        default="", description="Same finding across pushes, rebases and line shifts; 16 hex digits."
    )

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.end_line < self.line:
            raise ValueError(f"end_line {self.end_line} is before line {self.line}")
        return self


def fingerprint(path: str, code: str, category: Category, ordinal: int = 0) -> str:
    """Return 16 hex digits that stay the same while the quoted code does.

    White space at line ends and indentation do not count, so a re-indented line keeps its fingerprint.
    `ordinal` tells equal code with the same category in one file apart, counted from 0 downwards.
    """
    normalised = "\n".join(re.sub(r"\s+", " ", line).strip() for line in code.splitlines())
    key = "\0".join((path, normalised, category.value, str(ordinal)))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def verdict_of(findings: list[Finding]) -> Verdict:
    """Return `changes_needed` from major upwards, `comments` for anything less, `clean` for nothing."""
    if not findings:
        return Verdict.CLEAN
    worst = max(finding.severity for finding in findings)
    return Verdict.CHANGES_NEEDED if worst >= Severity.MAJOR else Verdict.COMMENTS
