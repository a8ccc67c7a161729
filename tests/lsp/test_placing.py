"""Findings stand where their code does, are published in the client's units, and act as nothing but text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.findings import Category, Finding, Severity
from engine.wire import Language
from lsp import hovers
from lsp.board import Board
from lsp.diagnostics import diagnostic, publication, template
from lsp.lines import Edit, Encoding, split_lines
from lsp.placing import Placed, place
from lsp.snapshots import place_all

PATH = Path("/a.py")


def finding(line: int, code: str, end_line: int | None = None, **more: object) -> Finding:
    values: dict[str, object] = {
        "path": "a.py",
        "line": line,
        "end_line": end_line or line,
        "severity": Severity.CRITICAL,
        "category": Category.SECURITY,
        "message": "100% <b>wrong</b>\u202e",
        "confidence": 0.5,
        "code": code,
        "fingerprint": f"{line:016x}",
    }
    return Finding.model_validate(values | more)


@pytest.mark.parametrize(
    ("name", "text", "line", "code", "place_"),
    [
        ("plain", "a\nb\nc", 2, "b", (1, 1)),
        ("last line without an end", "a\nb", 2, "b", (1, 1)),
        ("windows ends", "a\r\nb\r\n", 2, "b", (1, 1)),
        ("a lone carriage return above", "a\rx\nb\n", 2, "b", (2, 2)),
        ("a lone carriage return inside", "a\nb\rc\n", 2, "b\rc", (1, 2)),
        ("a form feed is no end", "a\f\nb\n", 2, "b", (1, 1)),
        ("another text", "a\nB\n", 2, "b", None),
        ("beyond the end", "a\n", 3, "b", None),
        ("what git could not read", "a\nbé\n", 2, "b\ufffd\ufffd", (1, 1)),
        ("nor anything else", "a\nc\n", 2, "b\ufffd", None),
    ],
)
def test_place(name: str, text: str, line: int, code: str, place_: tuple[int, int] | None) -> None:
    """git's line is the editor's, and says what the finding quotes."""
    lines = split_lines(text)
    placed = place(finding(line, code), lines, lines)
    assert (placed and (placed.first, placed.last)) == place_


def test_place_in_a_text_that_moved_on() -> None:
    """A text that was swapped is compared; one that is not known is the other."""
    one, two = finding(1, "a"), finding(3, "c")
    found = place_all((one, two), "a\nb\nc\n", split_lines("new\na\nc!\n"), None, "", Encoding.UTF16)
    assert [(p.finding.line, p.first) for p in found] == [(1, 1)]
    assert [p.first for p in place_all((two,), None, ["a\n", "b\n", "c"], None, "", Encoding.UTF16)] == [2]
    assert place_all((two,), None, None, None, "", Encoding.UTF16) == []


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", 9), ("utf-16", 7), ("utf-32", 6)])
def test_diagnostic(encoding: str, end: int) -> None:
    """Ranges leave the indentation out; hidden characters are visible; a percent sign is one."""
    code = "    x😀  "
    placed = Placed(finding(3, code), 2, 2, template(finding(3, code), "team-1", Encoding(encoding)))
    found = json.loads(diagnostic(placed))
    assert found["range"] == {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": end}}
    assert (found["severity"], found["message"]) == (1, "100% <b>wrong</b><U+202E>")
    whole = json.loads(publication("file:///a%20b.py", None, [placed, placed]))
    assert whole["params"] == {"uri": "file:///a%20b.py", "diagnostics": [found, found]}
    assert json.loads(publication("x", 3, []))["params"] == {"uri": "x", "version": 3, "diagnostics": []}


def test_hover_acts_as_nothing() -> None:
    """Markup of a message or a suggestion is text; both languages say all of it."""
    evil = finding(1, "x", suggestion="```\n</code><img src=x>", message="[x](command:evil) <img src=x>")
    shown = hovers.markdown(hovers.About((evil,), adapter="team`1"), Language.EN)
    assert "\\[x\\](command:evil)" in shown  # brackets that are text
    assert "<img" not in shown.partition("````")[0]
    assert "critical · security · 50% sure" in hovers.text(hovers.About((evil,)), Language.EN)
    assert "確信度 50%" in hovers.markdown(hovers.About((evil,)), Language.JA)
    assert "a.py の 3-4 行目" in hovers.prompt(evil, 2, 3, Language.JA)


def test_board() -> None:
    """Each finding once; edits move and remove; only what changed is told; what is hidden is kept."""
    told: list[Path] = []
    hidden: set[str] = set()
    board = Board(told.append, lambda path: hidden)
    one, two = Placed(finding(1, "a"), 0, 0), Placed(finding(3, "c"), 2, 2)
    board.put(PATH, [two, one, one])
    board.put(PATH, [one, two])
    assert board.visible(PATH) == [one, two]
    board.edit(PATH, Edit(1, 2, 1))
    board.edit(PATH, Edit(5, 9, 0))
    assert told == [PATH]
    board.edit(PATH, Edit(1, 1, 2))
    assert [p.first for p in board.visible(PATH)] == [0, 4]
    board.add(PATH, one._replace(first=1, last=1))
    assert [p.first for p in board.visible(PATH)] == [1, 4]
    hidden.add(one.finding.fingerprint)
    assert [p.first for p in board.visible(PATH)] == [4]
    assert board.find(PATH, one.finding.fingerprint) is not None
    assert board.counts() == {Severity.CRITICAL: 1}
    assert board.on_lines(PATH, 3, 4) == board.visible(PATH)
    board.edit(PATH, Edit(0, 9, 0))
    assert (board.paths, told) == ((), [PATH] * 4)
