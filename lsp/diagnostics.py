"""Placed finding -> diagnostic, as JSON. Pure.

A thousand findings are sent in a millisecond because all of a diagnostic but its lines becomes text once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from engine.findings import Finding, Severity
from engine.sanitize import plain
from lsp.lines import Encoding, width
from lsp.placing import Placed

SOURCE = "tenken"
PUBLISH = "textDocument/publishDiagnostics"

_SEVERITY = {Severity.CRITICAL: 1, Severity.MAJOR: 2, Severity.MINOR: 3, Severity.INFO: 4}


def publication(uri: str, version: int | None, placed: Iterable[Placed]) -> str:
    """Return the whole notification that publishes a document's findings."""
    head = {"uri": uri} if version is None else {"uri": uri, "version": version}
    start = json.dumps({"jsonrpc": "2.0", "method": PUBLISH, "params": head})
    return f'{start[:-2]}, "diagnostics": [{", ".join(map(diagnostic, placed))}]}}}}'


def diagnostic(placed: Placed) -> str:
    """Return a finding's diagnostic."""
    return placed.template % (placed.first, placed.last)


def template(finding: Finding, adapter: str, encoding: Encoding) -> str:
    """Return a finding's diagnostic with two places left for its first and last line."""
    rows = finding.code.split("\n")
    start = width(rows[0][: len(rows[0]) - len(rows[0].lstrip())], encoding)
    end = width(rows[-1].rstrip(), encoding)
    rest = {
        "severity": _SEVERITY[finding.severity],
        "code": finding.category.value,
        "source": SOURCE,
        "message": plain(finding.message),
        "data": {
            "fingerprint": finding.fingerprint,
            "severity": finding.severity.value,
            "category": finding.category.value,
            "confidence": round(finding.confidence, 3),
            "adapter": adapter,
            "hasSuggestion": finding.suggestion is not None,
        },
    }
    text = json.dumps(rest).replace("%", "%%")
    place = f'"start": {{"line": %d, "character": {start}}}, "end": {{"line": %d, "character": {end}}}'
    return f'{{"range": {{{place}}}, {text[1:]}'
