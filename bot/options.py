"""The words behind a command -> options and the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.commands import Command
from bot.errors import CommandRefused
from bot.registry import CommandSpec, Option
from bot.texts import Texts
from engine.sanitize import code_span


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody gave a command."""

    words: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)  # of a flag: ""


def read_options(command: Command, spec: CommandSpec, texts: Texts) -> Given:
    """Return what stands behind a command; raises CommandRefused for what it does not understand."""
    known = {f"--{option.name}": option for option in spec.options}
    words: list[str] = []
    values: dict[str, str] = {}
    rest = list(command.arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("--"):
            words.append(word)
            continue
        name, equals, value = word.partition("=")
        option = known.get(name.lower())
        if option is None:
            raise CommandRefused(_unknown(name, spec, texts))
        values[option.name] = _value(option, equals, value, rest, texts)
    return Given(tuple(words), values)


def _value(option: Option, equals: str, value: str, rest: list[str], texts: Texts) -> str:
    if not option.values:
        if equals:
            raise CommandRefused(texts.no_value.format(option=code_span(f"--{option.name}")))
        return ""
    if not equals:
        value = rest.pop(0) if rest else ""
    if value.lower() not in option.values:
        raise CommandRefused(
            texts.bad_value.format(
                option=code_span(f"--{option.name}"),
                values=_listed(option.values, texts),
                value=code_span(value) or "?",
            )
        )
    return value.lower()


def _unknown(name: str, spec: CommandSpec, texts: Texts) -> str:
    command = code_span(f"/{spec.name}")
    if not spec.options:
        return texts.no_options.format(command=command, option=code_span(name))
    options = _listed([f"--{option.name}" for option in spec.options], texts)
    return texts.unknown_option.format(command=command, option=code_span(name), options=options)


def _listed(values: Sequence[str], texts: Texts) -> str:
    return texts.separator.join(map(code_span, values))
