"""Where GitLab and the engine are, out of the settings: checked before anything is sent there."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from bot.engine_client import CA_SETTING, EngineAddress
from bot.gitlab_connection import ConnectionOptions
from bot.settings import BotSettings
from engine.client import HttpOptions
from engine.connecting import Address, proxy_for
from engine.errors import ConfigError


def gitlab_options(settings: BotSettings) -> ConnectionOptions:
    """Return how to reach GitLab; raises ConfigError naming what is not set, or is no address or token."""
    if not settings.gitlab_url:
        raise ConfigError("BOT_GITLAB_URL: not set; it is the address of GitLab")
    if settings.gitlab_token is None:
        raise ConfigError("BOT_GITLAB_TOKEN: not set; it is an access token of the bot, scope api")
    if not _is_address(settings.gitlab_url):
        raise ConfigError("BOT_GITLAB_URL: an address like https://gitlab.example is needed")
    token = _token("BOT_GITLAB_TOKEN", settings.gitlab_token)
    return ConnectionOptions(settings.gitlab_url, token, settings.gitlab_ca_file)


def engine_address(settings: BotSettings) -> EngineAddress:
    """Return where the engine is that `BOT_ENGINE_URL` names; raises ConfigError likewise."""
    try:
        Address.parse(settings.engine_url)
    except ConfigError as error:
        raise ConfigError(f"BOT_ENGINE_URL: {error}") from error
    token = _token("BOT_ENGINE_TOKEN", settings.engine_token) if settings.engine_token else ""
    own = settings.engine_admin_token
    admin = _token("BOT_ENGINE_ADMIN_TOKEN", own) if own else ""
    return EngineAddress(settings.engine_url, token, settings.engine_ca_file, admin)


def review_options(address: EngineAddress) -> HttpOptions:
    """Return how reviews are asked for there."""
    return HttpOptions(
        token=address.token,
        ca_file=address.ca_file,
        proxy=proxy_for(address.url),
        attempts=2,
        ca_setting=CA_SETTING,
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # of a port that is none
        return False


def _token(name: str, token: SecretStr) -> str:
    text = token.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{name}: not a token: there are spaces in it, or characters that none has")
    return text
