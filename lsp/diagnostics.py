"""Placed findings and threads -> diagnostics, as JSON. Pure.

A thousand findings are sent in a millisecond because all of a diagnostic but its lines becomes text once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from engine.findings import Finding, Severity
from engine.sanitize import one_line, plain
from lsp.lines import Encoding, width
from lsp.placing import Standing
from lsp.threads import Thread

SOURCE = "tenken"
THREAD = "thread"
PUBLISH = "textDocument/publishDiagnostics"
_INFORMATION = 3
_LONGEST_NOTE = 300

_SEVERITY = {Severity.CRITICAL: 1, Severity.MAJOR: 2, Severity.MINOR: 3, Severity.INFO: 4}


def publication(uri: str, version: int | None, placed: Iterable[Standing]) -> str:
    """Return the whole notification that publishes a document's findings."""
    head = {"uri": uri} if version is None else {"uri": uri, "version": version}
    start = json.dumps({"jsonrpc": "2.0", "method": PUBLISH, "params": head})
    return f'{start[:-2]}, "diagnostics": [{", ".join(map(diagnostic, placed))}]}}}}'


def diagnostic(placed: Standing) -> str:
    """Return a finding's or a thread's diagnostic."""
    return placed.template % (placed.first, placed.last)


def template(finding: Finding, adapter: str, encoding: Encoding) -> str:
    """Return a finding's diagnostic with two places left for its first and last line."""
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
    return _on_lines(finding.code, rest, encoding)


def thread_template(thread: Thread, code: str, encoding: Encoding) -> str:
    """Return the diagnostic of a thread on the lines `code` with two places left, as for a finding."""
    name, text = thread.notes[0]
    said = one_line(text)
    said = said if len(said) <= _LONGEST_NOTE else f"{said[:_LONGEST_NOTE]}…"
    more = f" (+{len(thread.notes) - 1})" if len(thread.notes) > 1 else ""
    rest = {
        "severity": _INFORMATION,
        "code": THREAD,
        "codeDescription": {"href": thread.url},
        "source": SOURCE,
        "message": f"{one_line(name)}: {said}{more}",
        "data": {"thread": thread.id, "url": thread.url},
    }
    return _on_lines(code, rest, encoding)


def _on_lines(code: str, rest: object, encoding: Encoding) -> str:
    rows = code.split("\n")
    start = width(rows[0][: len(rows[0]) - len(rows[0].lstrip())], encoding)
    end = width(rows[-1].rstrip(), encoding)
    text = json.dumps(rest).replace("%", "%%")
    place = f'"start": {{"line": %d, "character": {start}}}, "end": {{"line": %d, "character": {end}}}'
    return f'{{"range": {{{place}}}, {text[1:]}'
