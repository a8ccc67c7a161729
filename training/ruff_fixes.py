"""One-line fixes by ruff for Python rows: thousands of snippets a process, read from ruff's report.

Ruff's edits are applied here rather than by ruff, because only edits that stay on the finding's own line
can be offered as a suggestion for that line.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError, MissingExtra
from training.python_snippets import Snippet, parses, snippet_of

# Its fix gives the argument None for a default; what replaces None in the body would be another line.
_INCOMPLETE = frozenset({"B006"})
_IMPORT = re.compile(r"^\s*(?:from|import) ", re.MULTILINE)

Wanted = tuple[int, str]
"""A row, counted from 0, and the rule that is broken there."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The new side of a hunk, and what was found there."""

    rows: tuple[str, ...]
    wanted: frozenset[Wanted]


def fix_lines(fragments: Sequence[Fragment]) -> list[dict[Wanted, str]]:
    """Return for each fragment the rewritten rows that ruff knows, by row and rule.

    A rewritten row may be several lines. Fixes that touch another row, delete the row or leave it as it
    was are left out.
    """
    snippets = {index: snippet for index, part in enumerate(fragments) if (snippet := snippet_of(part.rows))}
    fixes: list[dict[Wanted, str]] = [{} for _ in fragments]
    rules = {rule for part in fragments for _, rule in part.wanted}
    for index, report in _reports(snippets, rules):
        snippet = snippets[index]
        key = (snippet.row_of(report["location"]["row"]), report["code"])
        text = _rewritten(snippet, report) if key in fragments[index].wanted else None
        if text is not None:
            fixes[index].setdefault(key, text)
    return fixes


@dataclass(frozen=True, slots=True)
class _Edit:
    """Columns `start` to `end` (from 0) of one line become `text`."""

    start: int
    end: int
    text: str


def _rewritten(snippet: Snippet, report: Mapping[str, Any]) -> str | None:
    """Return the line of the report with its fix applied, if the fix is about that line alone."""
    line = report["location"]["row"]
    edits = _edits(snippet, line, report["fix"]["edits"]) if report["fix"] else None
    if not edits or report["code"] in _INCOMPLETE:
        return None
    old = text = snippet.lines[line - 1]
    for edit in sorted(edits, key=lambda edit: -edit.start):
        text = text[: edit.start] + edit.text + text[edit.end :]
    changed = text.strip() not in ("", "pass") and text.rstrip() != old.rstrip()
    usable = changed and not _adds_import(old, text)
    return text if usable and parses(snippet.with_row(snippet.row_of(line), text)) else None


def _edits(snippet: Snippet, line: int, edits: Sequence[Mapping[str, Any]]) -> list[_Edit] | None:
    """Return ruff's edits of `line`, or None if one of them changes another line."""
    found = []
    for edit in edits:
        first, last = edit["location"], edit["end_location"]
        start, end, text = first["column"] - 1, last["column"] - 1, edit["content"]
        if (last["row"], end) == (first["row"] + 1, 0) and text.endswith("\n"):
            end, text = len(snippet.lines[first["row"] - 1]), text.removesuffix("\n")
        elif last["row"] != first["row"] or first["row"] > len(snippet.lines):
            return None
        # A fix that needs an import which is there pins it by replacing it with itself.
        if snippet.lines[first["row"] - 1][start:end] == text:
            continue
        if first["row"] != line:
            return None
        found.append(_Edit(start, end, text))
    return found


def _adds_import(old: str, new: str) -> bool:
    return _IMPORT.search(new) is not None and _IMPORT.search(old) is None


def _reports(snippets: Mapping[int, Snippet], rules: set[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if not snippets or not rules:
        return
    with tempfile.TemporaryDirectory() as folder:
        for index, snippet in snippets.items():
            (Path(folder) / f"{index}.py").write_text(snippet.text, encoding="utf-8")
        for report in _run_ruff(folder, rules):
            yield int(Path(report["filename"]).stem), report


def _run_ruff(folder: str, rules: set[str]) -> list[Mapping[str, Any]]:
    if importlib.util.find_spec("ruff") is None:
        raise MissingExtra("ruff", "dev")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--preview"]
    command += ["--ignore-noqa", "--target-version=py312", "--unsafe-fixes", "--output-format=json"]
    command += [f"--select={','.join(sorted(rules))}", folder]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise EngineError(f"ruff ended with status {done.returncode}: {done.stderr.strip()}")
    reports: list[Mapping[str, Any]] = json.loads(done.stdout)
    return reports
