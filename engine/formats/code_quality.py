"""A review as a GitLab Code Quality report, shown by GitLab in the merge request.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
GitLab's severities are ours and `blocker`, which no finding deserves without a person's word.
"""

from __future__ import annotations

import hashlib

from engine.findings import Finding, fingerprint
from engine.formats.excerpts import LineLookup, no_lines
from engine.sanitize import json_text, one_line
from engine.wire import Review


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return the findings as a JSON array with unique fingerprints: GitLab shows equal ones only once."""
    taken: set[str] = set()
    return json_text([_entry(finding, _unique(finding, taken)) for finding in review.findings]) + "\n"


def _entry(finding: Finding, unique: str) -> dict[str, object]:
    return {
        "type": "issue",
        "check_name": f"tenken-{finding.category}",
        "description": one_line(finding.message) or finding.category.value,
        "fingerprint": unique,
        "severity": finding.severity.value,
        "location": {"path": finding.path, "lines": {"begin": finding.line, "end": finding.end_line}},
    }


def _unique(finding: Finding, taken: set[str]) -> str:
    """Return the finding's fingerprint, or one derived from it if that is in `taken`; takes it."""
    base = finding.fingerprint or fingerprint(finding.path, finding.code, finding.category)
    candidate, ordinal = base, 0
    while candidate in taken:
        ordinal += 1
        candidate = hashlib.sha256(f"{base}\0{ordinal}".encode()).hexdigest()[:16]
    taken.add(candidate)
    return candidate
