"""Settings of the bot: environment variables that begin with BOT_, or a file that holds them.

Built once, in `bot.__main__`, and passed on as plain values. A project's settings are in its `.tenken.toml`.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from engine.errors import ConfigError

ENV_FILE = "BOT_ENV_FILE"
_FIELD = re.compile(r'field "(\w+)"')


class BotSettings(BaseSettings):
    """Where GitLab and the engine are, and how much the bot may do at once."""

    model_config = SettingsConfigDict(env_prefix="BOT_", env_ignore_empty=True, extra="ignore", frozen=True)

    gitlab_url: str = Field(default="", description="Of the GitLab server, such as https://gitlab.example.")
    gitlab_token: SecretStr | None = Field(default=None, description="The bot's access token, scope api.")
    gitlab_ca_file: Path | None = Field(
        default=None, description="Certificates to trust, PEM; the system's if unset."
    )
    engine_url: str = Field(default="", description="Of the engine; unset: one of its own.")
    engine_token: SecretStr | None = Field(
        default=None, description="Bearer token for that engine, role reviewer."
    )
    engine_ca_file: Path | None = Field(
        default=None, description="Certificates to trust, PEM; the system's if unset."
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="JSON list of secret tokens and signing keys (whsec_...), 16 characters or more each.",
    )
    project_secrets: dict[int, tuple[SecretStr, ...]] = Field(
        default_factory=dict, description="The same by project id, for projects with secrets of their own."
    )
    max_body_mib: int = Field(default=8, ge=1, le=64, description="Largest body of a webhook's request.")
    access: dict[str, str] = Field(
        default_factory=dict, description='JSON object: command to role, such as {"ask": "reporter"}.'
    )
    ignored_users: tuple[str, ...] = Field(
        default=(),
        description="JSON list of users whose notes and reactions are ignored, as are those of tokens' bots.",
    )
    poll_projects: tuple[str, ...] = Field(
        default=(), description="JSON list of projects, by id or path, that are looked at unasked."
    )
    poll_seconds: float = Field(
        default=300, ge=5, description="How often that is; set it low where no webhook gets through."
    )
    data_dir: Path = Field(
        default=Path("~/.local/share/tenken-bot"), description="For the database and the worker's lock."
    )
    database_url: SecretStr | None = Field(
        default=None, description="postgresql://...; SQLite in the data directory if unset."
    )
    worker: str = Field(
        default_factory=platform.node,
        min_length=1,
        max_length=100,
        description="Name of this worker, the same after a restart; the host's if unset.",
    )
    device: str = Field(
        default="",
        max_length=100,
        description="The device that engine and training share, such as gpu0: reviews wait while it trains.",
    )
    reviews: int = Field(default=2, ge=1, le=64, description="Reviews this worker does at once.")
    retry_seconds: float = Field(
        default=900, ge=0, description="How long a job waits for GitLab or the engine to come back."
    )
    review_seconds: float = Field(default=3600, gt=0, description="Then a review is given up.")
    silent_seconds: float = Field(
        default=60, ge=2, description="A worker silent for so long is replaced by the others."
    )
    keep_days: int = Field(default=14, ge=1, description="How long finished jobs can be looked at.")
    engine_admin_token: SecretStr | None = Field(
        default=None, description="Of that engine, role admin: /retrain and /rollback change what serves."
    )
    retrain: bool = Field(default=False, description="Whether /retrain trains; needs tenken[train].")
    retrain_python: Path | None = Field(
        default=None, description="The Python that tenken[train] is installed for; the bot's if unset."
    )
    retrain_settings: Path | None = Field(default=None, description="TOML of tenken-train retrain.")
    retrain_gitlab_token: SecretStr | None = Field(
        default=None, description="What history is read with, scope read_api; the bot's if unset."
    )
    retrain_min_new: int | None = Field(
        default=None, ge=0, description="New remarks that make a training worth it; see retrain.min_new."
    )
    retrain_at: str = Field(
        default="",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        description="When to train each night, such as 02:30, by this machine's clock.",
    )
    retrain_nightly: dict[str, NonNegativeInt] = Field(
        default_factory=dict,
        description='JSON object: project to the merge request told, such as {"group/app": 12}; 0: none.',
    )
    status_token: SecretStr | None = Field(
        default=None, min_length=16, description="Opens /status to others; without it, to this machine alone."
    )
    commit_status: bool = Field(
        default=False, description="Also report a review as a commit status: failed where fail_on says so."
    )


def load_settings() -> BotSettings:
    """Return the settings of this process; raises ConfigError naming the variable."""
    file = os.environ.get(ENV_FILE) or None
    if file is not None and not Path(file).is_file():
        raise ConfigError(f"{ENV_FILE}: {file} is no file")
    options: dict[str, Any] = {"_env_file": file}
    try:
        return BotSettings(**options)
    except SettingsError as error:
        name = _FIELD.search(str(error))
        raise ConfigError(f"BOT_{name[1].upper() if name else 'ENV_FILE'}: not JSON") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"BOT_{str(first['loc'][0]).upper()}: {first['msg']}") from error
