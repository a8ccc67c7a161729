"""The bot's settings and the address of its database: what is wrong is named by its variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.app import gitlab_options, secrets_of
from bot.database import Database, database_url
from bot.settings import BotSettings, load_settings
from engine.errors import ConfigError, StoreError


def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the error knows what to change."""
    monkeypatch.setenv("BOT_REVIEWS", "many")
    with pytest.raises(ConfigError, match="BOT_REVIEWS"):
        load_settings()


def test_settings_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is named; a .env that happens to lie around is not read."""
    (tmp_path / ".env").write_text("BOT_WORKER=stray\n")
    file = tmp_path / "bot.env"
    file.write_text('BOT_GITLAB_URL=https://gitlab.example\nBOT_WEBHOOK_SECRETS=["0123456789abcdef"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOT_ENV_FILE", str(file))
    settings = load_settings()
    assert settings.gitlab_url == "https://gitlab.example"
    assert settings.worker != "stray"
    assert "0123456789abcdef" not in repr(settings)
    monkeypatch.setenv("BOT_ENV_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="BOT_ENV_FILE"):
        load_settings()


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({}, "BOT_GITLAB_URL"),
        ({"gitlab_url": "https://gitlab.example"}, "BOT_GITLAB_TOKEN"),
    ],
)
def test_what_is_needed_and_not_set_is_named(values: dict[str, str], variable: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=variable):
        gitlab_options(BotSettings.model_validate(values))


def test_something_has_to_let_the_bot_hear() -> None:
    """Webhooks or polling: without both it would run for ever and do nothing."""
    with pytest.raises(ConfigError, match="BOT_WEBHOOK_SECRETS"):
        secrets_of(BotSettings())
    secrets_of(BotSettings.model_validate({"poll_projects": ["team/app"]}))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "/data/bot.db"),
        ("sqlite:////var/bot.db", "/var/bot.db"),
        ("postgresql://me:secret@db/tenken", "postgresql+psycopg://me:***@db/tenken"),
    ],
)
def test_a_database_is_shown_without_its_password(given: str | None, shown: str) -> None:
    """Its place stands in errors and in `tenken-bot check`."""
    database = Database(database_url(given, Path("/data")))
    assert database.place == shown
    database.close()


@pytest.mark.parametrize("given", ["mysql://x/y", "sqlite://", "nonsense", "sqlite:///:memory:"])
def test_other_databases_are_refused(given: str) -> None:
    """One in memory would lose everything that was to be kept."""
    with pytest.raises(ConfigError, match="BOT_DATABASE_URL"):
        database_url(given, Path("/data"))


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file in the directory's place, or a server that is not there: the error says where."""
    (tmp_path / "file").write_text("")
    for url in (f"sqlite:///{tmp_path}/file/bot.db", "postgresql://me@127.0.0.1:9/tenken"):
        database = Database(database_url(url, tmp_path))
        with pytest.raises(StoreError, match=r"bot\.db|127\.0\.0\.1"):
            database.create()
        database.close()
