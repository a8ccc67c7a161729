"""File names in headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.diffpaths import git_names, quote, shared_tail, strip_prefixes, unquote


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_quoting_is_undone(name: str) -> None:
    """A name written for a header is read back, alone and as half of a `diff --git` line."""
    assert unquote(quote(f"a/{name}")) == f"a/{name}"
    names = git_names(f"{quote(f'a/{name}')} {quote(f'b/{name}')}")
    assert names is not None
    assert strip_prefixes(*names) == (name, name)


@pytest.mark.parametrize(
    ("old", "new", "tail"),
    [
        ("v1/src/a.py", "v2/src/a.py", "src/a.py"),
        ("/tmp/x/old/a.py", "/tmp/x/new/a.py", "a.py"),
        ("old.py", "new.py", ""),
        ("same", "same", "same"),
    ],
)
def test_shared_tail_is_the_path_in_the_project(old: str, new: str, tail: str) -> None:
    """Two compared folders have the path below them in common."""
    assert shared_tail(old, new) == tail


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("a/x", "b/x", ("x", "x")),
        ("a/x", "a/x", ("a/x", "a/x")),
        ("/dev/null", "b/x", ("/dev/null", "x")),
        ("a/x", "/dev/null", ("x", "/dev/null")),
        ("src/x", "src/x", ("src/x", "src/x")),
    ],
)
def test_prefixes_are_stripped_in_pairs(old: str, new: str, names: tuple[str, str]) -> None:
    """Only what git puts in front of names goes; a folder called `a` stays."""
    assert strip_prefixes(old, new) == names
