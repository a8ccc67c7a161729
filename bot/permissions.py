"""Who may run what: a role in the project that the merge request goes into, forks included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.registry import CommandSpec
from bot.texts import Texts
from engine.errors import ConfigError
from engine.sanitize import code_span

CHOICES = (Access.REPORTER, Access.DEVELOPER, Access.MAINTAINER, Access.OWNER)
"""Roles that a setting may ask for. A guest can be anybody, so none is less."""


def read_access(configured: Mapping[str, str], specs: Iterable[CommandSpec]) -> dict[str, Access]:
    """Return which command needs which role instead of its own; raises ConfigError."""
    known = {spec.name: spec for spec in specs}
    roles = {role.name.lower(): role for role in CHOICES}
    found = {}
    for name, role in configured.items():
        spec, access = known.get(name.lower().lstrip("/")), roles.get(role.lower())
        if spec is None:
            raise ConfigError(f"BOT_ACCESS: {name}: no such command; there are: {', '.join(known)}")
        if access is None:
            raise ConfigError(f"BOT_ACCESS: {name}: {role}: no such role; there are: {', '.join(roles)}")
        if access < spec.floor:
            raise ConfigError(f"BOT_ACCESS: {name}: needs {spec.floor.name.lower()} at least")
        found[spec.name] = access
    return found


def require(name: str, needed: Access, access: int, texts: Texts) -> None:
    """Raise CommandRefused unless whoever has the role `access` may run the command called `name`."""
    if access >= needed:
        return
    text = texts.refused if access > Access.NONE else texts.refused_outsider
    raise CommandRefused(text.format(command=code_span(f"/{name}"), role=texts.role[needed]))


def role_of(access: int) -> str:
    """Return the name of the highest role that `access` has, for what is kept about feedback."""
    held = [role for role in Access if role <= access]
    return max(held).name.lower() if held else Access.NONE.name.lower()
