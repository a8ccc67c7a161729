"""Writes deploy/*.env.example out of the settings classes: every setting with its meaning and its default."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from bot.settings import BotSettings
from engine.settings import EngineSettings

WIDTH = 118


def engine_example() -> str:
    """Return engine.env.example."""
    return _example("engine", EngineSettings, needed=(), empty=("openai_urls",))


def bot_example() -> str:
    """Return bot.env.example."""
    needed = ("gitlab_url", "gitlab_token", "engine_url", "engine_token", "webhook_secrets")
    return _example("bot", BotSettings, needed, empty=("worker",))


def _example(name: str, settings: type[BaseSettings], needed: Collection[str], empty: Collection[str]) -> str:
    prefix = name.upper()
    lines = [
        f"# Settings of the {name}. Copy this to {name}.env, for its account's eyes only, and have",
        f"# {prefix}_ENV_FILE name it. A line behind a # is the default. The environment goes first.",
    ]
    for field, info in settings.model_fields.items():
        value = "" if field in empty else _shown(info)
        mark = "" if field in needed else "#"
        lines += ["", f"# {info.description}", f"{mark}{prefix}_{field.upper()}={'' if not mark else value}"]
    return "\n".join(lines) + "\n"


def _shown(info: FieldInfo) -> str:
    value: Any = info.get_default(call_default_factory=True)
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case dict() | tuple():
            return json.dumps(value)
        case PurePath():
            return value.as_posix()
    return f"{value:g}" if isinstance(value, float) else str(value)
