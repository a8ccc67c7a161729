"""The page of all settings, made of the classes that read them. `make golden` writes it anew."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bot.settings import BotSettings
from engine.config import ProjectConfig
from engine.finetune.settings import PreferenceSettings
from engine.settings import EngineSettings
from lsp.settings import LspSettings
from training.gate import Rule
from training.linters import Linter
from training.pipeline.settings import RetrainSettings

HEAD = """# All settings

Made from the classes that read them by `deploy/docs/settings_page.py`; a test compares. What is unset has the
default. Variables may stand in a file that `ENGINE_ENV_FILE` or `BOT_ENV_FILE` names; those of the
environment go before it. One that cannot be used is an error that names it, at the start.

What `[train]` leaves open is chosen by card and data, and `tenken-train plan` says why.
"""
_UNTOLD = "none"


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join((HEAD, *_sections())) + "\n"


def _sections() -> Iterator[str]:
    yield from _table("The engine: environment", EngineSettings, lambda name: f"ENGINE_{name.upper()}")
    yield from _table("The bot: environment", BotSettings, lambda name: f"BOT_{name.upper()}")
    yield from _table("The editor: under `tenken`, or `LSP_...`", LspSettings, to_camel)
    yield from _table("A project: `.tenken.toml` of the target branch", ProjectConfig, str)
    usual = RetrainSettings()
    for name in RetrainSettings.model_fields:
        yield from _table(f"Training: `[{name}]` of `--settings FILE`", type(getattr(usual, name)), str)
    yield from _table("Training: a rule, `[gate.rules.MEASURE]`", Rule, str)
    yield from _table("Training: `prefer --settings FILE`", PreferenceSettings, str)
    yield from _table("Training: `[linters.LANGUAGE]` of `evaluate --linters FILE`", Linter, str)


def _fields(settings: type) -> dict[str, FieldInfo]:
    """Return the fields of a class of pydantic, or of a dataclass whose types are annotated for it."""
    if issubclass(settings, BaseModel):
        return settings.model_fields
    types = get_type_hints(settings, include_extras=True)
    return {
        each.name: FieldInfo.from_annotated_attribute(types[each.name], each.default)
        for each in dataclasses.fields(settings)
    }


def _table(title: str, settings: type, named: Callable[[str], str]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| setting | default | limits | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in _fields(settings).items():
        cells = (f"`{named(name)}`", _default(field), _limits(field), field.description or "")
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return _UNTOLD if field.default_factory is None else _value(_made(field))
    return _value(field.default)


def _made(field: FieldInfo) -> Any:
    """Return what an empty factory makes; what depends on the machine is told by the description."""
    return field.default_factory() if field.default_factory in (dict, list, tuple) else None  # type: ignore[misc, call-arg]


def _value(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if value is None or value == "" or (isinstance(value, (tuple, list, dict)) and not value):
        return _UNTOLD
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_defaults=True, mode="json")
        return f"`{', '.join(f'{name} = {json.dumps(each)}' for name, each in given.items())}`"
    if isinstance(value, dict):
        return "; ".join(f"`{name}`: {_value(each)}" for name, each in value.items())
    if isinstance(value, frozenset):
        value = sorted(value)
    if isinstance(value, (tuple, list)):
        return ", ".join(_value(each) for each in value)
    return f"`{value if not isinstance(value, PurePath) else value.as_posix()}`"


def _limits(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, kind)}"
        for rule in field.metadata
        for kind, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(rule, kind, None) is not None
    ]
    return ", ".join([*(_value(choice) for choice in _choices(field.annotation)), *bounds])


def _choices(kind: Any) -> Iterator[object]:
    """Yield what a type has to choose from, as part of another, too: `Severity | None`."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield from kind
    elif get_origin(kind) is Literal:
        yield from get_args(kind)
    elif get_origin(kind) not in (dict, Mapping):
        for part in get_args(kind):
            yield from _choices(part)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


if __name__ == "__main__":
    print(page(), end="")
