"""Documents and folders under all their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsp.lines import Encoding
from lsp.workspace import Workspace


def test_one_file_under_two_names(tmp_path: Path) -> None:
    """It has the name under which it was opened last, and the other one's when that is closed."""
    (tmp_path / "a.py").write_text("x")
    (tmp_path / "b.py").symlink_to("a.py")
    one, two = (tmp_path / "a.py").as_uri(), (tmp_path / "b.py").as_uri()
    workspace = Workspace(Encoding.UTF16)
    assert workspace.open(one, 1, "x") is not None
    assert workspace.open(two, 1, "x") is not None
    path = (tmp_path / "a.py").resolve()
    assert workspace.uri_of(path) == two
    workspace.close(two)
    assert workspace.uri_of(path) == one
    workspace.close(one)
    workspace.close(one)
    assert (workspace.at(path), workspace.open_paths()) == (None, ())


def test_documents_that_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine: none; of one that is too big nothing is shown while it is open."""
    workspace = Workspace(Encoding.UTF16)
    for uri in ("untitled:1", "git:/a.py?ref", "https://host/a.py"):
        assert workspace.open(uri, 1, "x") is None
    monkeypatch.setattr("lsp.workspace._LARGEST", 3)
    uri = (tmp_path / "big.py").as_uri()
    assert workspace.open(uri, 1, "1234") is None
    assert workspace.too_big == {tmp_path.resolve() / "big.py"}
    workspace.close(uri)
    assert workspace.too_big == set()
    assert workspace.open(uri, 1, "123") is not None
