"""Settings of this machine: environment variables that begin with ENGINE_, or a file that holds them.

Built once, in `engine.__main__`, and passed on as plain values. A project's settings are `engine.config`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import ConfigError

ENV_FILE = "ENGINE_ENV_FILE"


class EngineSettings(BaseSettings):
    """Where the engine finds its files and what it may use."""

    model_config = SettingsConfigDict(
        env_prefix="ENGINE_", env_ignore_empty=True, extra="ignore", frozen=True, protected_namespaces=()
    )

    cache_dir: Path | None = Field(
        default=None, description="For what is built once; ~/.cache/tenken if unset."
    )
    model_path: Path | None = Field(
        default=None, description="Base model, GGUF; the installed Gemma if unset."
    )
    adapter_dir: Path | None = Field(default=None, description="Adapter; the one that came along if unset.")
    threads: int | None = Field(default=None, ge=1, description="What the cgroup allows if unset.")
    context: int = Field(default=4096, ge=2560, le=32_768, description="Tokens the model reads at once.")


def load_settings() -> EngineSettings:
    """Return the settings of this process; raises ConfigError naming the variable.

    The file is the one that ENGINE_ENV_FILE names and no other: a `.env` in the directory that is being
    reviewed belongs to the code under review, and must not choose which model files are loaded.
    """
    file = os.environ.get(ENV_FILE) or None
    if file is not None and not Path(file).is_file():
        raise ConfigError(f"{ENV_FILE}: {file} is no file")
    options: dict[str, Any] = {"_env_file": file}
    try:
        return EngineSettings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"ENGINE_{str(first['loc'][0]).upper()}: {first['msg']}") from error
