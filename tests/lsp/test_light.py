"""The server answers `initialize` before it loads what it needs later, and runs without its fakes."""

from __future__ import annotations

import subprocess
import sys

from editors import ROOT

LATER = {
    "pydantic",
    "structlog",
    "rich",
    "engine.client",
    "engine.review",
    "lsp.session",
    "lsp.settings",
    "difflib",
}
NEVER = {"torch", "xllamacpp", "aiohttp", "sqlalchemy", "tree_sitter", "numpy"}


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after some code."""
    run = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return set(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_the_start_is_light() -> None:
    """Half a second is mostly that of the protocol's seven hundred classes."""
    found = loaded("from lsp import __main__, server, transport; server.make_server('1')")
    assert (LATER | NEVER) & found == set()


def test_messages_are_loaded_in_half_the_time() -> None:
    """What nobody calls is not made; what a class says of its own is kept, and other classes are as ever."""
    code = """
from lsp.types_loading import load_types
load_types()
import attrs
from lsprotocol.types import Position, Range, TextDocumentItem
one, two = (TextDocumentItem(uri="a", language_id="b", version=1, text="SECRET") for _ in range(2))
assert one != two and "SECRET" not in repr(one)
assert Position(line=1, character=2) == Position(line=1, character=2) < Position(line=2, character=0)
@attrs.define
class Other:
    x: int
assert Other(1) == Other(1)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_session_needs_no_model() -> None:
    """With everything loaded that a session needs, there is still no model library and no server's."""
    found = loaded("import lsp.opening")
    assert "lsp.session" in found
    assert not NEVER & found


def test_the_product_never_imports_its_fakes() -> None:
    """Only tests use `testing`."""
    for path in (ROOT / "lsp").rglob("*.py"):
        assert "lsp.testing" not in path.read_text("utf-8"), path
