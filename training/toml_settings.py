"""Settings files in TOML -> frozen models; an error names the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from engine.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(path: Path | None, kind: type[Settings]) -> Settings:
    """Return the settings of a file, or the usual ones without a file; raises ConfigError."""
    if path is None:
        return kind()
    try:
        return kind.model_validate(read_toml(path))
    except ValidationError as error:
        raise key_error(path, error) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's table; raises ConfigError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def key_error(path: Path, error: ValidationError) -> ConfigError:
    """Return the error that names the first key which does not fit."""
    first = error.errors()[0]
    return ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
