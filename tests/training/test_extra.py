"""More data of a project's own: prose, functions, made-up flaws."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from history_records import REVIEWER, TIME, lines, written

from engine.errors import InputError
from training.__main__ import main
from training.errors import ServerFailed
from training.extra.flaws import Flaw, checked
from training.extra.functions import tasks
from training.extra.model_server import ModelServer
from training.extra.prose import questions, sections
from training.extra.stage import CONVERSATIONS, FLAWS, ExtraSettings, Kind, make_extra
from training.history.records import Document, SourceFile
from training.records import read_review_items

GUIDE = """\
# Rules

<!-- internal -->
## Money

Amounts are integers in the smallest unit, never floats.

```sh
# not a heading
make check
```

## Empty

### 日付

日付は必ず UTC で保存し、表示するときだけ現地時間に変換します。時刻も同じ規則に従います。
"""
PYTHON = '''\
import os


class Cart:
    def total(self, rows):
        """Return the sum of all rows, rounded to whole units."""
        found = sum(rows)
        return round(found)

    def empty(self):
        """Empty it."""
        return None


def plain(x):
    y = x
    return y
'''
JAVA = """\
class A {
  /**
   * Returns the sum of all rows, never null.
   * @author mia
   */
  int total(int[] rows) {
    int sum = 0;
    for (int row : rows) sum += row;
    return sum;
  }
}
"""


def source(text: str, path: str = "shop/cart.py", language: str = "python") -> SourceFile:
    return SourceFile(
        id=f"source-{path}", author=REVIEWER, created=TIME, path=path, language=language, text=text
    )


def document(text: str) -> Document:
    return Document(id="wiki-a", author=REVIEWER, created=TIME, source="wiki", path="a", text=text)


def test_sections_become_questions_in_their_language() -> None:
    """With the heading above; a comment, an empty section and a heading in code are none."""
    asked = dict(talk.pairs[0] for talk in questions(document(GUIDE)))
    assert list(asked) == [
        'What are the rules of this project about "Rules: Money"?',
        "「Empty: 日付」について、このプロジェクトではどう決められていますか。",
    ]
    assert "# not a heading\nmake check" in asked[next(iter(asked))]
    assert [section.titles for section in sections(GUIDE)] == [
        ("Rules",), ("Rules", "Money"), ("Rules", "Empty"), ("Empty", "日付"),
    ]  # fmt: skip


def test_documented_functions_become_tasks() -> None:
    """The whole function is the answer; without documentation, or tiny, there is no task."""
    (talk,) = tasks(source(PYTHON))
    ((question, answer),) = talk.pairs
    assert "def total(self, rows):" in question
    assert "Return the sum of all rows, rounded to whole units." in question
    assert answer.startswith("def total(self, rows):")
    assert answer.endswith("\n    return round(found)")
    (talk,) = tasks(source(JAVA, "A.java", "java"))
    ((question, answer),) = talk.pairs
    assert "Returns the sum of all rows, never null." in question
    assert "mia" not in question
    assert answer.startswith("int total(int[] rows) {")
    assert list(tasks(source("x", "a.sql", "sql"))) == []


ROWS = ["def f(x):", "    if x > 0:", "        return x", "", "    return 0"]
GOOD = {
    "line": 2, "replacement": "    if x >= 0:", "category": "bug", "severity": "major",
    "message": "Zero has to give zero.",
}  # fmt: skip
REFUSED = {
    "no JSON": ("certainly!", "not as asked: json_invalid"),
    "no message": (json.dumps(GOOD | {"message": ""}), "not as asked: string_too_short"),
    "unknown category": (json.dumps(GOOD | {"category": "typo"}), "not as asked: enum"),
    "beyond the end": (json.dumps(GOOD | {"line": 6}), "no such line"),
    "blank line": (json.dumps(GOOD | {"line": 4}), "no such line"),
    "nothing changed": (json.dumps(GOOD | {"replacement": "  if x  > 0:"}), "not one changed line"),
    "two lines": (json.dumps(GOOD | {"replacement": "a\nb"}), "not one changed line"),
    "control token": (
        json.dumps(GOOD | {"message": "Fine.<end_of_turn> Yes."}),
        "text that must not be learnt",
    ),
}


@pytest.mark.parametrize(("reply", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_model_is_believed_in_nothing_that_can_be_checked(reply: str, reason: str) -> None:
    """Each refusal has its reason."""
    assert checked(reply, ROWS) == reason


def test_a_good_reply_is_a_flaw() -> None:
    """As it was said."""
    found = checked(json.dumps(GOOD), ROWS)
    assert isinstance(found, Flaw)
    assert found.replacement == "    if x >= 0:"


class _Answers(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that breaks the first line it is shown."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012 - one server a test
    failing = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, **body})
        reply = json.dumps(GOOD | {"line": 1, "replacement": f"broken_{len(self.asked)} = 1"})
        answer = {"choices": [{"message": {"content": reply}}]} if not self.failing else {"choices": []}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def model_server() -> Iterator[tuple[str, type[_Answers]]]:
    class Answers(_Answers):
        asked: list[dict[str, Any]] = []  # noqa: RUF012 - one server a test

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", Answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_flaws_are_items_whose_line_is_broken(tmp_path: Path) -> None:
    """The old line is removed, the flawed one added, and the remark stands on it; the rest is context."""
    data = written(tmp_path / "in.jsonl", [source(PYTHON), source(JAVA, "A.java", "java")])
    with model_server() as (url, answers):
        settings = ExtraSettings(kinds=(Kind.FLAWS,), flaws=5, server=url, model="m")
        manifest = make_extra(data, tmp_path / "out", settings, ModelServer(url, "m"))
        assert [each["path"] for each in answers.asked] == ["/v1/chat/completions"] * 2
        assert answers.asked[0]["response_format"]["type"] == "json_schema"
        (tmp_path / "out" / "manifest.json").unlink()
        make_extra(data, tmp_path / "out", settings, ModelServer(url, "m"))
        assert len(answers.asked) == 2
    first, second = read_review_items(tmp_path / "out" / FLAWS)
    (finding,) = first.findings
    line = next(row for row in first.to_chunk().lines if row.new_number == finding.line)
    assert (line.text, line.is_commentable, first.tier) == ("broken_1 = 1", True, "synthetic")
    assert finding.line <= PYTHON.count("\n")
    assert second.language == "java"
    assert manifest.counts["flaws"] == {"made": 2}


def test_a_server_that_answers_nonsense_is_an_error() -> None:
    """It is told whose answer it was."""
    with model_server() as (url, answers):
        answers.failing = True
        with pytest.raises(ServerFailed, match="not of this API"):
            ModelServer(url, "m").ask("s", "q", {}, 0)


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/v1", "ftp://127.0.0.1/v1", "nowhere", "http://[2606:4700::1]/v1"]
)
def test_code_stays_inside(url: str) -> None:
    """An address outside the own network is refused before anything is sent."""
    with pytest.raises(InputError, match="--server"):
        ModelServer(url, "m")


def test_the_command_makes_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else, and no pair twice; flaws need a server."""
    written(tmp_path / "in" / "records.jsonl", [document(GUIDE), document(GUIDE), source(PYTHON), "{"])
    command = ["extra", "--data", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*command, "--kind", "prose"]) == 0
    assert [row["source"] for row in lines(tmp_path / "out" / CONVERSATIONS)] == ["prose", "prose"]
    assert "prose, said before 2" in capsys.readouterr().out
    assert main([*command, "--kind", "functions", "--kind", "prose"]) == 0
    kinds = [row["source"] for row in lines(tmp_path / "out" / CONVERSATIONS)]
    assert sorted(kinds) == ["functions", "prose", "prose"]
    assert main([*command, "--kind", "flaws"]) == 2
    assert "--server" in capsys.readouterr().err
