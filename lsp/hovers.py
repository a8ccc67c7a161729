"""Findings -> what a hover says of them. Pure; every text of the model or the code is made harmless."""

from __future__ import annotations

from collections.abc import Iterable

from engine.findings import Finding
from engine.languages import language_of
from engine.sanitize import code_span, fence, one_line, plain, prose
from engine.texts import TEXTS as ENGINE_TEXTS
from engine.wire import Language
from lsp.texts import TEXTS

_SIGNS = {"info": "ℹ️", "minor": "🟡", "major": "🟠", "critical": "🔴"}


def markdown(findings: Iterable[Finding], adapter: str, language: Language) -> str:
    """Return Markdown about findings, one below the other."""
    return "\n\n---\n\n".join(_one(finding, adapter, language) for finding in findings)


def text(findings: Iterable[Finding], adapter: str, language: Language) -> str:
    """Return the same as plain text, for clients that show no Markdown."""
    return "\n\n".join(
        f"{heading(finding, language)}\n{plain(finding.message)}\n{origin(finding, adapter, language)}"
        for finding in findings
    )


def heading(finding: Finding, language: Language) -> str:
    """Return severity, category and confidence."""
    texts, names = TEXTS[language], ENGINE_TEXTS[language]
    sure = texts.confidence.format(percent=f"{finding.confidence:.0%}")
    return f"{names.severity[finding.severity]} · {names.category[finding.category]} · {sure}"


def origin(finding: Finding, adapter: str, language: Language) -> str:
    """Return what made a finding, and what it is known by."""
    texts = TEXTS[language]
    parts = [texts.adapter.format(adapter=adapter)] if adapter else []
    return " · ".join([*parts, texts.fingerprint.format(fingerprint=finding.fingerprint)])


def _one(finding: Finding, adapter: str, language: Language) -> str:
    texts, names = TEXTS[language], ENGINE_TEXTS[language]
    blocks = [
        f"{_SIGNS[finding.severity.value]} **Tenken** · {heading(finding, language)}",
        prose(finding.message),
        f"*{names.category_meaning[finding.category]}*",
    ]
    if finding.suggestion is not None:
        blocks += [f"**{texts.suggestion}**", fence(finding.suggestion, language_of(finding.path) or "")]
    blocks.append(code_span(one_line(origin(finding, adapter, language))))
    return "\n\n".join(blocks)


def prompt(finding: Finding, first: int, last: int, language: Language) -> str:
    """Return a finding as a prompt for an assistant; `first` and `last` are its lines, from 0."""
    texts, names = TEXTS[language], ENGINE_TEXTS[language]
    lines = str(first + 1) if first == last else f"{first + 1}-{last + 1}"
    code = language_of(finding.path) or ""
    said = texts.prompt.format(
        path=finding.path,
        lines=texts.prompt_lines.format(lines=lines),
        severity=names.severity[finding.severity],
        category=names.category[finding.category],
        message=plain(finding.message),
        code=fence(finding.code, code),
    )
    if finding.suggestion is None:
        return said
    return f"{said}\n\n{texts.prompt_suggestion.format(suggestion=fence(finding.suggestion, code))}"
