"""Reviews only what has changed: what was found in a hunk stands for as long as the hunk does. Pure.

A hunk is the same if its path and rows are, wherever it has moved to. A review that is put together from old
and new findings says the same as one of everything, so nothing else has to know which it was.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from engine.diffs import FileDiff, Hunk
from engine.findings import Finding, fingerprint, verdict_of
from engine.wire import FileCoverage, Language, Review
from engine.workload import ordinals_of

HunkKey = str


class KnownHunk(BaseModel):
    """What was found in a hunk when it was reviewed."""

    model_config = ConfigDict(frozen=True)

    start: int  # its first line then, in the new version
    findings: tuple[Finding, ...] = ()


class Memory(BaseModel):
    """What was reviewed of a merge request. Made under other conditions, it is worth nothing."""

    model_config = ConfigDict(frozen=True)

    conditions: str = ""  # what findings depend on besides the code, as a hash
    hunks: dict[HunkKey, KnownHunk] = {}
    base_model: str = ""
    adapter: str = ""
    tool_version: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which hunks are to be reviewed, and what is known of the others."""

    files: tuple[FileDiff, ...]  # all that are worth reviewing
    fresh: tuple[FileDiff, ...]  # with the hunks alone that are not known
    known: Mapping[HunkKey, KnownHunk]
    aside: Mapping[HunkKey, KnownHunk]  # known of files that this review is not about
    memory: Memory  # what was known before, under the conditions of now

    @property
    def is_nothing_new(self) -> bool:
        """Whether there is nothing to review that was not reviewed before."""
        return not self.fresh


def conditions_of(*parts: object) -> str:
    """Return a hash of what findings depend on besides the code."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def plan_review(
    files: Sequence[FileDiff],
    memory: Memory,
    conditions: str,
    *,
    full: bool = False,
    aside: Iterable[FileDiff] = (),
) -> Plan:
    """Return what is left to review of `files` where `memory` knows the rest.

    `aside` are files of the same diff that are not asked for this time; what is known of them stays.
    """
    remembered = memory.hunks if memory.conditions == conditions else {}
    known, fresh = {}, []
    for file in files:
        unknown = []
        for key, hunk in keyed_hunks(file):
            if key in remembered and not full:
                known[key] = remembered[key]
            else:
                unknown.append(hunk)
        if unknown:
            fresh.append(replace(file, hunks=tuple(unknown)))
    left = {key: remembered[key] for file in aside for key, _ in keyed_hunks(file) if key in remembered}
    return Plan(tuple(files), tuple(fresh), known, left, memory.model_copy(update={"conditions": conditions}))


def merge_review(
    plan: Plan, review: Review | None, skipped: Iterable[FileCoverage], language: Language
) -> Review:
    """Return the review of everything, from that of what is new (None: nothing is) and from memory."""
    memory = plan.memory
    base = review or Review(
        verdict=verdict_of([]),
        findings=(),
        coverage=(),
        language=language,
        base_model=memory.base_model,
        adapter=memory.adapter,
        tool_version=memory.tool_version,
    )
    fresh = _by_path(base.findings)
    entries = {entry.path: entry for entry in base.coverage}
    findings = {file.new_path: _findings(file, plan, fresh.get(file.new_path, ())) for file in plan.files}
    covered = (
        _coverage(file, plan, entries.get(file.new_path), len(findings[file.new_path])) for file in plan.files
    )
    every = [finding for found in findings.values() for finding in found]
    return base.model_copy(
        update={
            "verdict": verdict_of(every),
            "findings": tuple(every),
            "coverage": (*covered, *skipped),
        }
    )


def remember(plan: Plan, merged: Review) -> Memory:
    """Return what is known after a review: the hunks it has read, and those that were known and are left."""
    read = {entry.path for entry in merged.coverage if entry.reviewed}
    found = _by_hunk(plan.files, merged.findings)
    hunks = {
        key: KnownHunk(start=hunk.new_start, findings=tuple(found.get(key, ())))
        for file in plan.files
        for key, hunk in keyed_hunks(file)
        if key in plan.known or file.new_path in read
    }
    return Memory(
        conditions=plan.memory.conditions,
        hunks={**plan.aside, **hunks},
        base_model=merged.base_model,
        adapter=merged.adapter,
        tool_version=merged.tool_version,
    )


def keyed_hunks(file: FileDiff) -> Iterator[tuple[HunkKey, Hunk]]:
    """Yield the hunks of a file with keys that stay the same while their rows do."""
    seen: Counter[str] = Counter()
    for hunk in file.hunks:
        rows = "\n".join(f"{line.kind[0]}{line.text}" for line in hunk.lines)
        digest = hashlib.sha256(f"{file.new_path}\0{rows}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
        yield f"{digest}-{seen[digest]}", hunk
        seen[digest] += 1


def _findings(file: FileDiff, plan: Plan, fresh: Iterable[Finding]) -> list[Finding]:
    """Return all findings of a file, with the lines and fingerprints they have in the whole of its diff."""
    ordinals = ordinals_of(file)
    carried = (
        finding.model_copy(
            update={
                "line": finding.line + hunk.new_start - known.start,
                "end_line": finding.end_line + hunk.new_start - known.start,
            }
        )
        for key, hunk in keyed_hunks(file)
        if (known := plan.known.get(key))
        for finding in known.findings
    )
    named = {(settled := _named(finding, ordinals)).fingerprint: settled for finding in (*carried, *fresh)}
    return sorted(named.values(), key=lambda finding: finding.line)


def _named(finding: Finding, ordinals: Mapping[int, int]) -> Finding:
    name = fingerprint(finding.path, finding.code, finding.category, ordinals.get(finding.line, 0))
    return finding.model_copy(update={"fingerprint": name})


def _coverage(file: FileDiff, plan: Plan, entry: FileCoverage | None, findings: int) -> FileCoverage:
    lines = sum(
        line.is_commentable for key, hunk in keyed_hunks(file) if key in plan.known for line in hunk.lines
    )
    if entry is None:
        return FileCoverage(path=file.new_path, reviewed=True, lines=lines, findings=findings)
    return entry.model_copy(update={"lines": entry.lines + lines, "findings": findings})


def _by_hunk(files: Iterable[FileDiff], findings: Iterable[Finding]) -> dict[HunkKey, list[Finding]]:
    by_path = _by_path(findings)
    return {
        key: [finding for finding in by_path[file.new_path] if hunk.new_start <= finding.line < hunk.new_end]
        for file in files
        if file.new_path in by_path
        for key, hunk in keyed_hunks(file)
    }


def _by_path(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.path, []).append(finding)
    return found
