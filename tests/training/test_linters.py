"""Suggestions before the project's own linter, which is a small script here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.findings import Category, Severity
from training.linters import Linter, LinterSettings, measure_style, run_linter
from training.records import ReviewItem
from training.scoring import Remark, Written

LONG_LINES = """
import sys
path, name = sys.argv[1:3]
text = sys.stdin.read() if name == "-" else open(name).read()
bad = [number for number, row in enumerate(text.split("\\n"), 1) if len(row) > 20]
for number in bad:
    print(f"{path}:{number} too long")
print()
sys.exit(bool(bad))
"""
STDIN = Linter(command=(sys.executable, "-c", LONG_LINES, "{path}", "-"), timeout=300)
FILE = Linter(command=(sys.executable, "-c", LONG_LINES, "{path}", "{file}"), timeout=300)


def item(name: str, *rows: str, path: str = "src/a.py", language: str = "python") -> ReviewItem:
    diff = "\n".join([f"@@ -1,0 +2,{len(rows)} @@", *(f"+{row}" for row in rows)])
    return ReviewItem(id=name, diff=diff, path=path, language=language, findings=())


def remark(line: int, suggestion: str | None) -> Remark:
    return Remark(line, Category.STYLE, 0.9, Severity.MINOR, "Shorter.", suggestion)


def written(*remarks: Remark) -> Written:
    return Written((remarks,))


SHORT = item("short", "    x = 1", "y = 2")
OLD_SIN = item("sin", "value = some_function(of_things)", "y = 2")


@pytest.mark.parametrize("linter", [STDIN, FILE], ids=["stdin", "file"])
@pytest.mark.parametrize(
    ("hunk", "suggestion", "complies"),
    [
        (SHORT, "x = 3", 1.0),
        (SHORT, "x = some_function(of_things)", 0.0),
        (OLD_SIN, "value = some_other(of_thing)", 1.0),
        (OLD_SIN, "v = 1", 1.0),
        (OLD_SIN, "value = some_function(\n  of_many_things_or_more)", 0.0),
    ],
    ids=["fine", "new complaint", "as bad as before", "mended", "worse than before"],
)
def test_a_suggestion_must_bring_no_new_complaint(
    linter: Linter, hunk: ReviewItem, suggestion: str, complies: float
) -> None:
    """Complaints that were there before are not the suggestion's."""
    if "\n" in suggestion:
        suggestion = suggestion.replace("some_function(", "some_function_of_it(")
    style = measure_style([hunk], written(remark(2, suggestion)), LinterSettings(linters={"python": linter}))
    assert style.checked == 1
    assert style.compliant.value == complies


def test_the_whole_file_is_checked_where_the_checkout_has_it(tmp_path: Path) -> None:
    """If the hunk still stands at its lines; else the hunk alone, and nothing outside the checkout."""
    script = "import sys; rows = sys.stdin.read().split('\\n'); sys.exit('import x' not in rows[0])"
    settings = LinterSettings(linters={"python": Linter(command=(sys.executable, "-c", script), timeout=300)})
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("import x\n    x = 1\ny = 2\n")
    said = written(remark(3, "y = 3"))
    assert measure_style([SHORT], said, settings, tmp_path).compliant.value == 1
    (tmp_path / "src" / "a.py").write_text("import x\n\n    x = 1\ny = 2\n")
    assert measure_style([SHORT], said, settings, tmp_path).unchecked == {"linter failed": 1}
    verdict = run_linter(settings.linters["python"], "a.py", "no import", tmp_path)
    assert verdict is not None
    assert verdict.status == 1
    outside = item("out", "    x = 1", "y = 2", path="../a.py")
    (tmp_path / "a.py").write_text("import x\n    x = 1\ny = 2\n")
    (tmp_path / "inner").mkdir()
    assert measure_style([outside], said, settings, tmp_path / "inner").checked == 0


def test_what_has_no_linter_or_no_suggestion_is_not_checked() -> None:
    """Nor is a path that a command could take for an option; that is counted."""
    java, option = item("java", "int x;", language="java"), item("option", "x = 1", path="--config=x.py")
    remarks = ((remark(2, "long x;"),), (remark(2, "x = 2"),), (remark(2, None),))
    style = measure_style([java, option, SHORT], Written(remarks), LinterSettings(linters={"python": STDIN}))
    assert (style.checked, style.compliant.value) == (0, None)
    assert style.unchecked == {"path that could be an option": 1}


def test_a_linter_that_hangs_is_ended_with_its_children() -> None:
    """It counts as not checked."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    hanging = Linter(command=(sys.executable, "-c", script), timeout=0.5)
    style = measure_style([SHORT], written(remark(2, "x = 2")), LinterSettings(linters={"python": hanging}))
    assert style.unchecked == {"linter took too long": 1}


def test_a_linter_that_fails_does_not_praise() -> None:
    """It ends with an error and complains of nothing: a wrong option, say. That is no compliance."""
    failing = Linter(command=(sys.executable, "-c", "import sys; sys.exit('no such option')"), timeout=300)
    style = measure_style([SHORT], written(remark(2, "x = 2")), LinterSettings(linters={"python": failing}))
    assert (style.checked, style.unchecked) == (0, {"linter failed": 1})


def test_a_linter_that_is_not_there_is_an_error() -> None:
    """It names the command; a shell's signs in it mean nothing."""
    settings = LinterSettings(linters={"python": Linter(command=("no-such-linter; echo",))})
    with pytest.raises(InputError, match="no-such-linter; echo"):
        measure_style([SHORT], written(remark(2, "x = 2")), settings)


@pytest.mark.parametrize("path", ["src/..", "src/" + "a" * 300 + ".py", "{file}", ".output"])
def test_a_path_that_names_no_file_is_no_harm(path: str) -> None:
    """The data's paths are data."""
    style = measure_style(
        [item("odd", "x = 1", path=path)],
        written(remark(2, "x = 2")),
        LinterSettings(linters={"python": FILE}),
    )
    assert (style.checked, style.compliant.value) == (1, 1.0)


def test_it_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment it gets what it needs to start."""
    monkeypatch.setenv("TENKEN_GITLAB_TOKEN", "glpat-secret")
    script = "import os, sys; sys.exit('TENKEN_GITLAB_TOKEN' in os.environ)"
    verdict = run_linter(Linter(command=(sys.executable, "-c", script), timeout=300), "a.py", "", None)
    assert verdict is not None
    assert verdict.status == 0
