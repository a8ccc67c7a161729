"""What the user is told of imports that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineError, MissingExtra, unimportable


def failure(statement: str) -> ImportError:
    """The error of an import statement."""
    with pytest.raises(ImportError) as raised:
        exec(statement)
    return raised.value


def test_a_module_that_is_not_there() -> None:
    """The extra that brings it is named, also where something else needed it."""
    told = unimportable(failure("import no_such_module"), "library", "train")
    assert isinstance(told, MissingExtra)
    assert str(told) == "no_such_module is not installed; run: pip install 'tenken[train]'"


def test_a_library_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing it again is not advised; the first of the failures says what is wrong."""
    (tmp_path / "broken_library.py").write_text(
        "try:\n    from json import gone\nexcept ImportError as error:\n"
        "    raise ModuleNotFoundError('Could not import module Some.') from error\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for statement in ("import broken_library", "from json import gone"):
        told = unimportable(failure(statement), "library", "train")
        assert type(told) is EngineError
        assert str(told).startswith("library is installed but cannot be imported: cannot import name 'gone'")
