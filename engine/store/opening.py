"""From settings to the store: shared by command line and server. Light until it is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import unimportable
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from engine.store.feedback import FeedbackStore
    from engine.store.registry import Registry

DATABASE = "tenken.db"


@dataclass(frozen=True, slots=True)
class Store:
    """All that is remembered."""

    registry: Registry
    feedback: FeedbackStore
    place: str  # the database's, without a password


def data_directory(settings: EngineSettings, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where adapters and the database are; creates nothing."""
    if settings.data_dir is not None:
        return settings.data_dir
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tenken"


def store_exists(settings: EngineSettings) -> bool:
    """Tell whether there is a store, so that whoever only reads need not make one."""
    return settings.database_url is not None or (data_directory(settings) / DATABASE).is_file()


@contextmanager
def open_store(settings: EngineSettings) -> Iterator[Store]:
    """Give the store, made and migrated as needed. Raises MissingExtra, ConfigError or StoreError."""
    try:
        from engine.store.database import open_database, sqlite_url
        from engine.store.feedback import FeedbackStore
        from engine.store.registry import Registry
    except ImportError as missing:
        raise unimportable(missing, "sqlalchemy", "store") from missing
    data = data_directory(settings).absolute()
    url = settings.database_url.get_secret_value() if settings.database_url else sqlite_url(data / DATABASE)
    database = open_database(url)
    try:
        registry = Registry(data, database, verify_key=settings.verify_key)
        yield Store(registry, FeedbackStore(database), database.place)
    finally:
        database.close()
