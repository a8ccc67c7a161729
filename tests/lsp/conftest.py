"""What the language server's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository without a commit."""
    made = Repository(tmp_path / "repository")
    made.git("init", "-q", "-b", "main")
    return made
