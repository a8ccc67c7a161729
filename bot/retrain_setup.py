"""From the bot's settings to what retraining needs; what cannot work is said before anything begins."""

from __future__ import annotations

import sys

from bot.engine_client import EngineAddress
from bot.gitlab_connection import ConnectionOptions
from bot.retraining import RetrainOptions
from bot.settings import BotSettings
from bot.trainer import TrainerOptions
from engine.errors import ConfigError


def require_sound(settings: BotSettings) -> None:
    """Raise ConfigError for settings of retraining that would fail after hours, or do nothing at all."""
    if settings.retrain_at and not settings.retrain_nightly:
        raise ConfigError("BOT_RETRAIN_NIGHTLY: not set; it names the projects that BOT_RETRAIN_AT is for")
    if settings.retrain_at and not settings.retrain:
        raise ConfigError("BOT_RETRAIN: not true, so nothing is trained at BOT_RETRAIN_AT")
    if settings.retrain and settings.engine_url and settings.engine_admin_token is None:
        raise ConfigError(
            "BOT_ENGINE_ADMIN_TOKEN: not set; what BOT_RETRAIN trains is brought to the engine with it"
        )
    for name in ("retrain_settings", "retrain_python"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"BOT_{name.upper()}: {path} is no file")


def trainer_options(
    settings: BotSettings, gitlab: ConnectionOptions, address: EngineAddress
) -> TrainerOptions:
    """Return how the trainer is started."""
    own = settings.retrain_gitlab_token
    python = str(settings.retrain_python or sys.executable)
    return TrainerOptions(
        folder=settings.data_dir.expanduser().absolute() / "retrain",
        gitlab_url=gitlab.url,
        gitlab_token=own.get_secret_value() if own else gitlab.token,
        engine_url=address.url,
        engine_token=address.admin_token,
        gitlab_ca_file=gitlab.ca_file,
        engine_ca_file=address.ca_file,
        settings=settings.retrain_settings,
        min_new=settings.retrain_min_new,
        # -P: the working directory, which may be anybody's, supplies no modules.
        command=(python, "-P", "-m", "training", "retrain"),
    )


def retrain_options(settings: BotSettings, address: EngineAddress) -> RetrainOptions:
    """Return what is possible here."""
    return RetrainOptions(
        folder=settings.data_dir.expanduser() / "roll-backs",
        enabled=settings.retrain,
        may_promote=bool(address.admin_token),
        device=settings.device,
    )
