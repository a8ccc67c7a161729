"""Findings and threads -> what a hover says of them. Pure.

Every text of the model, the code and of people is made harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.findings import Finding
from engine.languages import language_of
from engine.sanitize import code_span, fence, inline, one_line, plain, prose
from engine.texts import TEXTS as ENGINE_TEXTS
from engine.wire import Language
from lsp.texts import TEXTS
from lsp.threads import Thread

_SIGNS = {"info": "ℹ️", "minor": "🟡", "major": "🟠", "critical": "🔴"}


@dataclass(frozen=True, slots=True)
class About:
    """What is on a line. `thread_about` gives the address of a finding's thread, or nothing."""

    findings: tuple[Finding, ...]
    threads: tuple[Thread, ...] = ()
    adapter: str = ""
    thread_about: Callable[[str], str] = lambda fingerprint: ""


def markdown(about: About, language: Language) -> str:
    """Return Markdown about findings and threads, one below the other."""
    findings = [_one(f, about.adapter, about.thread_about(f.fingerprint), language) for f in about.findings]
    threads = [_thread(thread, language) for thread in about.threads]
    return "\n\n---\n\n".join([*findings, *threads])


def text(about: About, language: Language) -> str:
    """Return the same as plain text, for clients that show no Markdown."""
    findings = [
        f"{heading(finding, language)}\n{plain(finding.message)}\n{origin(finding, about.adapter, language)}"
        for finding in about.findings
    ]
    threads = [
        "\n".join([*(f"{one_line(said.name)}: {plain(said.text)}" for said in thread.notes), thread.url])
        for thread in about.threads
    ]
    return "\n\n".join([*findings, *threads])


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


def _thread(thread: Thread, language: Language) -> str:
    """Return what was said in a thread, with a link to it."""
    notes = [f"**{inline(said.name)}**\n\n{prose(said.text)}" for said in thread.notes]
    return "\n\n".join([*notes, _link(thread.url, language)])


def _link(url: str, language: Language) -> str:
    """Return a link to a thread; in its address, which is ours, nothing is Markdown."""
    return f"[{TEXTS[language].open_thread}]({url})"


def _one(finding: Finding, adapter: str, thread: str, language: Language) -> str:
    texts, names = TEXTS[language], ENGINE_TEXTS[language]
    blocks = [
        f"{_SIGNS[finding.severity.value]} **Tenken** · {heading(finding, language)}",
        prose(finding.message),
        f"*{names.category_meaning[finding.category]}*",
    ]
    if finding.suggestion is not None:
        blocks += [f"**{texts.suggestion}**", fence(finding.suggestion, language_of(finding.path) or "")]
    if thread:
        blocks.append(_link(thread, language))
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
