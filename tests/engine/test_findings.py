"""Severity's order, fingerprints that outlive shifts, verdicts."""

from __future__ import annotations

from itertools import combinations

import pytest
from pydantic import ValidationError

from engine.findings import Category, Finding, Severity, Verdict, fingerprint, verdict_of


def finding(severity: Severity = Severity.MINOR, **fields: object) -> Finding:
    plain = {"path": "a.py", "line": 2, "end_line": 2, "category": "bug", "message": "m", "confidence": 0.5}
    return Finding.model_validate({**plain, "severity": severity, **fields})


@pytest.mark.parametrize(("low", "high"), list(combinations(Severity, 2)))
def test_severities_are_ordered_by_rank(low: Severity, high: Severity) -> None:
    """All four comparisons follow the rank, none the alphabet."""
    assert low < high
    assert low <= high
    assert high > low
    assert high >= low
    assert not any((low > high, low >= high, high < low, high <= low))
    assert max(low, high) is high


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ([], Verdict.CLEAN),
        ([Severity.INFO, Severity.MINOR], Verdict.COMMENTS),
        ([Severity.INFO, Severity.MAJOR, Severity.MINOR], Verdict.CHANGES_NEEDED),
        ([Severity.CRITICAL], Verdict.CHANGES_NEEDED),
    ],
)
def test_verdict_follows_the_worst_finding(severities: list[Severity], verdict: Verdict) -> None:
    """From major upwards changes are needed."""
    assert verdict_of([finding(severity) for severity in severities]) is verdict


def test_fingerprint_ignores_indentation_only() -> None:
    """Moved into a block the code is the same; another path, category, ordinal or code is not."""
    one = fingerprint("a.py", "x = eval(y)", Category.BUG)
    assert fingerprint("a.py", "\t  x =  eval(y)  ", Category.BUG) == one
    others = [
        fingerprint("b.py", "x = eval(y)", Category.BUG),
        fingerprint("a.py", "x = eval(y)", Category.SECURITY),
        fingerprint("a.py", "x = eval(y)", Category.BUG, 1),
        fingerprint("a.py", "x = eval(z)", Category.BUG),
    ]
    assert len({one, *others}) == 5


@pytest.mark.parametrize(
    "fields", [{"end_line": 1}, {"line": 0}, {"message": ""}, {"confidence": 1.1}, {"extra": 1}]
)
def test_impossible_findings_are_refused(fields: dict[str, object]) -> None:
    """A finding that could not be shown cannot be made."""
    with pytest.raises(ValidationError):
        finding(**fields)  # type: ignore[arg-type]
