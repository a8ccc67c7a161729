"""A whole server with an editor in front and an engine behind: what a person sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from editors import editing
from git_repository import Repository
from serving import Served, finding_evals, serving

from engine.api import feedback
from engine.settings import EngineSettings
from engine.store.opening import Store, open_store
from engine.store.projects import StoredProjects

TEXT = "x = 1\ny = 2\n"


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


@pytest.fixture
def app(repository: Repository) -> Path:
    """A file that was committed, in which nothing is wrong."""
    repository.commit(app=TEXT)
    return repository.root / "app.py"


def test_from_a_save_to_a_fix(app: Path, engine: Served, tmp_path: Path) -> None:
    """A saved change is reviewed, its finding follows the text, and goes with its line."""

    async def run() -> None:
        async with editing(app.parent, {"engineUrl": engine.url}, home=tmp_path) as editor:
            await editor.until_state("idle")
            uri = editor.open(app)
            editor.edit(uri, 2, ((1, 0, 1, 0), "z = eval(x)\n"))
            editor.save(uri, "x = 1\nz = eval(x)\ny = 2\n")
            await editor.until_lines(uri, 2)
            shown = editor.diagnostics[uri]
            (item,) = shown["diagnostics"]
            assert shown["version"] == 2
            assert (item["source"], item["code"], item["severity"]) == ("tenken", "security", 3)
            assert item["range"] == {
                "start": {"line": 1, "character": 0},
                "end": {"line": 1, "character": 11},
            }
            editor.edit(uri, 3, ((0, 0, 0, 0), "# above\n"))
            await editor.until_lines(uri, 3)
            editor.edit(uri, 4, ((2, 4, 2, 8), "len"))
            await editor.until_lines(uri)
            assert await editor.end() == 0

    asyncio.run(run())
