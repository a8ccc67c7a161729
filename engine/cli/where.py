"""Where a command has the model work: in this process, or in an engine elsewhere. With which adapter."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from engine.adapters import Adapter
from engine.client import HttpOptions, HttpReviewClient
from engine.connecting import proxy_for
from engine.opening import choose_adapter
from engine.projects import project_of
from engine.settings import EngineSettings, read_token
from engine.store.opening import open_store, store_exists


def add_adapter(parser: argparse._ActionsContainer) -> None:
    """Add the option that names an adapter."""
    parser.add_argument(
        "--adapter",
        metavar="DIR|none",
        help="another adapter (with --engine: its version), or the base model alone",
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options that name an engine."""
    where = parser.add_argument_group("where (this process, if no engine is given)")
    where.add_argument("--engine", metavar="URL", help="an engine that does the work; also ENGINE_URL")
    where.add_argument("--token-file", type=Path, metavar="FILE", help="its token; also ENGINE_TOKEN")
    where.add_argument(
        "--project", metavar="NAME", help="e.g. group/app; here, that of the git remote if not given"
    )


def engine_elsewhere(arguments: argparse.Namespace, settings: EngineSettings) -> HttpReviewClient | None:
    """Return the client of the engine that is asked for, or None where this process does the work."""
    url = arguments.engine or settings.url
    if not url:
        return None
    token = read_token(arguments.token_file) if arguments.token_file else settings.token
    options = HttpOptions(
        token.get_secret_value() if token else "", settings.ca_file, settings.proxy or proxy_for(url)
    )
    return HttpReviewClient(url, options)


def remembered(
    arguments: argparse.Namespace, settings: EngineSettings, folder: Path
) -> tuple[Adapter | None, Collection[str]]:
    """Return the adapter, one that is named before the champion, and what the project dismissed."""
    chosen = choose_adapter(arguments.adapter, settings)
    if not store_exists(settings):
        return chosen, ()
    from engine.store.projects import StoredProjects

    project = arguments.project or project_of(folder) or ""
    with open_store(settings) as store:
        projects = StoredProjects(store, chosen)
        is_named = arguments.adapter or settings.adapter_dir
        return chosen if is_named else projects.adapter(project), projects.suppressed(project)
