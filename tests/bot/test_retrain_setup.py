"""Settings of retraining: what could not work is said at the start, not after a night of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.engine_client import EngineAddress
from bot.gitlab_connection import ConnectionOptions
from bot.retrain_setup import require_sound, retrain_options, trainer_options
from bot.settings import BotSettings
from engine.errors import ConfigError

NIGHT = {"retrain": True, "retrain_at": "02:30"}
ELSEWHERE = {"retrain": True, "engine_url": "https://engine"}


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        (NIGHT, "BOT_RETRAIN_NIGHTLY"),
        ({**NIGHT, "retrain": False, "retrain_nightly": {"a/b": 0}}, "BOT_RETRAIN:"),
        (ELSEWHERE, "BOT_ENGINE_ADMIN_TOKEN"),
        ({"retrain_settings": "/no/such.toml"}, "BOT_RETRAIN_SETTINGS: /no/such.toml is no file"),
        ({"retrain_python": "/no/python"}, "BOT_RETRAIN_PYTHON"),
    ],
)
def test_what_does_not_fit_is_named(values: dict[str, Any], variable: str) -> None:
    """By its variable."""
    with pytest.raises(ConfigError, match=variable):
        require_sound(BotSettings.model_validate(values))


def test_what_fits() -> None:
    """Nothing, an engine of the bot's own, one elsewhere, and every night."""
    for values in (
        {},
        {"retrain": True},
        {**ELSEWHERE, "engine_admin_token": "t"},
        {**NIGHT, "retrain_nightly": {"team/app": 12}},
    ):
        require_sound(BotSettings.model_validate(values))


def test_the_trainer_reads_with_its_own_token(tmp_path: Path) -> None:
    """Where it has one; the bot's may write. No secret is shown."""
    gitlab = ConnectionOptions("https://gitlab", "of-the-bot")
    address = EngineAddress("http://engine", "of-reviews", admin_token="of-an-admin")
    settings = BotSettings(data_dir=tmp_path, device="gpu0")
    options = trainer_options(settings, gitlab, address)
    assert (options.gitlab_token, options.engine_token) == ("of-the-bot", "of-an-admin")
    assert not any(secret in repr(options) for secret in ("of-the-bot", "of-an-admin"))
    own = settings.model_copy(update=BotSettings.model_validate({"retrain_gitlab_token": "x"}).model_dump(
        include={"retrain_gitlab_token"}
    ))  # fmt: skip
    assert trainer_options(own, gitlab, address).gitlab_token == "x"
    assert retrain_options(settings, address).may_promote
    assert retrain_options(settings, address).device == "gpu0"
    assert not retrain_options(settings, EngineAddress("http://engine")).may_promote
