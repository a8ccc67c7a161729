"""Which findings of a review are kept: severity floor, duplicates, cap. Pure; exact at any time."""

from __future__ import annotations

from collections import defaultdict

from engine.findings import Finding, Severity


class Shortlist:
    """The most certain findings so far, at most `cap`, none below `floor`, none said twice.

    A finding may be pushed over the cap by a more certain one that comes later. One that `has_room` denied
    could never have come back, so whoever asks first saves the work and loses nothing.
    """

    def __init__(self, floor: Severity, cap: int) -> None:
        self.floor = floor
        self.cap = cap
        self.suppressed = 0
        self._kept: list[Finding] = []
        self._fingerprints: set[str] = set()
        self._said: defaultdict[tuple[str, str], set[int]] = defaultdict(set)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The kept findings, in order of arrival."""
        return tuple(self._kept)

    def has_room(self, confidence: float) -> bool:
        """Tell whether a finding this certain would be kept."""
        return sum(kept.confidence >= confidence for kept in self._kept) < self.cap

    def turn_away(self) -> None:
        """Count a finding that was not written: there was no room, or somebody had dismissed it."""
        self.suppressed += 1

    def add(self, finding: Finding) -> bool:
        """Keep `finding` if it belongs here and return whether it does."""
        if finding.severity < self.floor or self._is_known(finding):
            self.suppressed += 1
            return False
        self._kept.append(finding)
        if len(self._kept) <= self.cap:
            return True
        self.suppressed += 1
        # Of equally certain ones the latest goes.
        weakest = min(reversed(self._kept), key=lambda kept: kept.confidence)
        self._kept.remove(weakest)
        return weakest is not finding

    def _is_known(self, finding: Finding) -> bool:
        said = self._said[finding.path, finding.message]
        known = finding.fingerprint in self._fingerprints or not said.isdisjoint(
            (finding.line - 1, finding.line, finding.end_line + 1)
        )
        self._fingerprints.add(finding.fingerprint)
        said.update((finding.line, finding.end_line))
        return known
