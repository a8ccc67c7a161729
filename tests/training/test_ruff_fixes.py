"""Ruff's fixes become rewritten rows only where nothing but the row changes."""

from __future__ import annotations

from training.ruff_fixes import Fragment, fix_lines


def fixes(text: str, *wanted: tuple[int, str]) -> dict[tuple[int, str], str]:
    (found,) = fix_lines([Fragment(tuple(text.split("\n")), frozenset(wanted))])
    return found


def test_each_fragment_gets_its_own_fixes() -> None:
    """One run answers many fragments, in order, with original indentation."""
    first = Fragment(("        if a == None:", "            return"), frozenset({(0, "E711")}))
    second = Fragment(("b = 1", "raise ValueError()"), frozenset({(1, "RSE102")}))
    nothing = Fragment(("c = 1",), frozenset({(0, "E711")}))
    assert fix_lines([first, nothing, second]) == [
        {(0, "E711"): "        if a is None:"},
        {},
        {(1, "RSE102"): "raise ValueError"},
    ]


def test_a_fix_nobody_asked_for_is_left_out() -> None:
    """Only the rows and rules that have a finding are answered."""
    assert fixes("if a == None:\n    pass\nif b == None:\n    pass", (2, "E711")) == {
        (2, "E711"): "if b is None:"
    }


def test_one_line_may_become_several_in_the_file_s_own_indentation() -> None:
    """The body of the new function is indented by the step the hunk uses."""
    text = (
        "        key = lambda row: row.name\n        rows.sort(key=key)\n        if rows:\n            key(0)"
    )
    assert fixes(text, (0, "E731"))[0, "E731"] == "        def key(row):\n            return row.name"


def test_non_ascii_columns() -> None:
    """Columns are counted in characters, so text before the edit does not move it."""
    assert fixes('x = f("点検🙂") == None', (0, "E711")) == {(0, "E711"): 'x = f("点検🙂") is None'}


def test_fixes_beyond_the_row_are_left_out() -> None:
    """Rewriting several rows, deleting the row, adding an import or half a fix is no suggestion."""
    assert fixes("for a in b:\n    c.append(a + 1)", (1, "PERF401")) == {}
    assert fixes("def f():\n    a = 1\n    return 2", (1, "F841")) == {}
    assert fixes("def f():\n    exit(1)", (1, "PLR1722")) == {}
    assert fixes("def f(a=[]): ...", (0, "B006")) == {}


def test_nothing_to_do_starts_no_process() -> None:
    """No fragments, no answer."""
    assert fix_lines([]) == []
