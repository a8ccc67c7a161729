"""What the language server's tests share: a repository, and an engine with a fake model and a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from git_repository import Repository
from serving import Served, finding_evals, serving

from engine.api import feedback
from engine.settings import EngineSettings
from engine.store.opening import Store, open_store
from engine.store.projects import StoredProjects

TEXT = "x = 1\ny = 2\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository without a commit."""
    made = Repository(tmp_path / "repository")
    made.git("init", "-q", "-b", "main")
    return made


@pytest.fixture
def app(repository: Repository) -> Path:
    """A file that was committed, in which nothing is wrong."""
    repository.commit(app=TEXT)
    return repository.root / "app.py"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What the engine remembers."""
    with open_store(EngineSettings(data_dir=tmp_path / "engine")) as opened:
        yield opened


@pytest.fixture
def engine(store: Store) -> Iterator[Served]:
    """An engine that finds every eval, and leaves out what was dismissed."""
    routes = feedback.routes(store.feedback)
    with serving(finding_evals(), projects=StoredProjects(store, None), more_routes=routes) as served:
        yield served
