"""`tenken ask` as a process: here and with an engine elsewhere, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_serve import engine, tenken

CODE = "import os\n\n\ndef run(text):\n    return eval(text)\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a file to ask about."""
    (tmp_path / "a.py").write_text(CODE)
    return tmp_path


def test_the_answer_is_printed(home: Path) -> None:
    """On standard output, without what a terminal would act on; the same from an engine elsewhere."""
    question = ("ask", "Is this safe?", "--path", "a.py", "--line", "4-5", "--adapter", "none")
    here = tenken(home, *question)
    assert (here.returncode, here.stdout, here.stderr) == (0, "It evaluates <U+202E>text.\n", "")
    with engine(home) as (url, _):
        there = tenken(home, *question, "--engine", url)
    assert (there.returncode, there.stdout) == (0, here.stdout)


def test_lines_are_counted_as_an_editor_does(home: Path) -> None:
    """A form feed ends none, and a blank one at the end of what is shown is one."""
    (home / "odd.py").write_text("a = 1\n\x0c\nb = 2\n\n")
    asked = ("ask", "Why?", "--path", "odd.py", "--adapter", "none", "--line")
    assert [tenken(home, *asked, line).returncode for line in ("3-4", "5")] == [0, 2]


def test_json_has_all_of_it(home: Path) -> None:
    """Who answered, and whether all was read."""
    done = tenken(home, "ask", "Why?", "--path", "a.py", "--adapter", "none", "--json")
    answer = json.loads(done.stdout)
    assert (answer["base_model"], answer["truncated"], answer["left_out"]) == ("fake-base", False, False)


REFUSED = {
    "no such file": (("--path", "b.py"), "cannot read"),
    "no such line": (("--path", "a.py", "--line", "6"), "not within the 5 lines"),
    "backwards": (("--path", "a.py", "--line", "4-3"), "not within the 5 lines"),
    "no line": (("--path", "a.py", "--line", "last"), "neither a line nor a range"),
    "blank lines": (("--path", "blank.py"), "nothing to ask about"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_said(home: Path, case: str) -> None:
    """One line and exit code 2, before a model is loaded."""
    (home / "blank.py").write_text("\n")
    arguments, text = REFUSED[case]
    done = tenken(home, "ask", "Why?", "--adapter", "none", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_was_left_out_is_told_in_the_projects_language(home: Path) -> None:
    """The code around the line does not fit, so the answer may lack something."""
    (home / "long.py").write_text("".join(f"value_{n} = [{'1, ' * 60}]\n" for n in range(200)))
    (home / ".tenken.toml").write_text('language = "ja"\n')
    done = tenken(home, "ask", "何ですか", "--path", "long.py", "--line", "100", "--adapter", "none")
    assert done.returncode == 0
    assert "読み込まれていません" in done.stderr
