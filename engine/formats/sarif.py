"""A review as SARIF 2.1.0, for code scanning dashboards and editors.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
Rules are our categories. What was not reviewed is told as notifications of the run, never as results.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from engine.findings import Category, Finding, Severity
from engine.formats.excerpts import LineLookup, no_lines
from engine.formats.summaries import remarks
from engine.sanitize import json_text, plain
from engine.texts import TEXTS
from engine.wire import FileCoverage, Language, Review, SkipReason

_Json = dict[str, object]

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.MAJOR: "error",
    Severity.MINOR: "warning",
    Severity.INFO: "note",
}
_RULES = list(Category)


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return the review as a SARIF log with one run."""
    log: _Json = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [_run(review)],
    }
    return json_text(log) + "\n"


def _run(review: Review) -> _Json:
    return {
        "tool": {"driver": _driver(review)},
        "language": review.language.value,
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(review)],
        "artifacts": _artifacts(review),
        "results": [_result(finding) for finding in review.findings],
        "properties": {
            "verdict": review.verdict.value,
            "baseModel": review.base_model,
            "adapter": review.adapter,
            "suppressed": review.suppressed,
        },
    }


def _driver(review: Review) -> _Json:
    rules = [_rule(category, review.language) for category in _RULES]
    version: _Json = {"version": review.tool_version} if review.tool_version else {}
    return {"name": "tenken", **version, "rules": rules}


def _rule(category: Category, language: Language) -> _Json:
    texts = TEXTS[language]
    return {
        "id": category.value,
        "name": category.value.capitalize(),
        "shortDescription": {"text": texts.category[category]},
        "fullDescription": {"text": texts.category_meaning[category]},
        "defaultConfiguration": {"level": "warning"},
    }


def _result(finding: Finding) -> _Json:
    result: _Json = {
        "ruleId": finding.category.value,
        "ruleIndex": _RULES.index(finding.category),
        "level": _LEVELS[finding.severity],
        "rank": round(finding.confidence * 100, 1),
        "message": _message(finding.message),
        "locations": [
            {"physicalLocation": {"artifactLocation": _artifact(finding.path), "region": _region(finding)}}
        ],
        "properties": {"severity": finding.severity.value, "confidence": finding.confidence},
    }
    if finding.fingerprint:
        result["partialFingerprints"] = {"tenken/v1": finding.fingerprint}
    if finding.suggestion is not None:
        result["fixes"] = [_fix(finding, finding.suggestion)]
    return result


def _region(finding: Finding) -> _Json:
    region: _Json = {"startLine": finding.line, "endLine": finding.end_line}
    return region | {"snippet": {"text": finding.code}} if finding.code else region


def _fix(finding: Finding, suggestion: str) -> _Json:
    # Without columns a region ends before the last line's newline, so a replacement keeps it;
    # to remove whole lines, the region must reach to the start of the next.
    replacement: _Json = {
        "deletedRegion": {"startLine": finding.line, "endLine": finding.end_line},
        "insertedContent": {"text": suggestion},
    }
    if not suggestion:
        end: _Json = {"endLine": finding.end_line + 1, "endColumn": 1}
        replacement = {"deletedRegion": {"startLine": finding.line, "startColumn": 1, **end}}
    return {
        "artifactChanges": [
            {"artifactLocation": _artifact(finding.path), "replacements": [replacement]},
        ]
    }


def _invocation(review: Review) -> _Json:
    skipped = [_skipped(file, review.language) for file in review.coverage if not file.reviewed]
    return {
        "executionSuccessful": not review.partial,
        "toolExecutionNotifications": [*_warnings(review), *skipped],
    }


def _warnings(review: Review) -> Iterator[_Json]:
    for remark in remarks(review):
        yield {"level": "warning", "message": _message(remark)}


def _skipped(file: FileCoverage, language: Language) -> _Json:
    texts = TEXTS[language]
    reason = file.reason or SkipReason.UNSUPPORTED
    detail = f" ({file.detail})" if file.detail else ""
    return {
        "descriptor": {"id": f"not-reviewed/{reason.value}"},
        "level": "note",
        "message": _message(f"{texts.skipped_heading}: {texts.skip_reason[reason]}{detail}"),
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(file.path)}}],
    }


def _artifacts(review: Review) -> list[_Json]:
    paths = dict.fromkeys(file.path for file in review.coverage if file.reviewed)
    return [{"location": _artifact(path), "roles": ["analysisTarget"]} for path in paths]


def _artifact(path: str) -> _Json:
    # A leading slash would make the reference absolute, two of them the name of a host.
    relative = path.lstrip("/")
    uri = "%2F" * (len(path) - len(relative)) + quote(relative, safe="/")
    return {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _message(text: str) -> _Json:
    """Return a plain text message: braces are placeholders and `[text](target)` a link unless written so."""
    shown = plain(text).replace("{", "{{").replace("}", "}}")
    return {"text": shown.replace("](", "] (")}
