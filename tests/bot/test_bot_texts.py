"""Both languages of the bot say everything, with the same values in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from string import Formatter

import pytest

from bot.commands import GITLAB_QUICK_ACTIONS
from bot.gitlab import Access
from bot.handlers.catalogue import COMMANDS
from bot.registry import CommandSpec
from bot.texts import TEXTS, Texts
from engine.lifecycle import AdapterState
from engine.wire import Language

JAPANESE = re.compile(r"[ぁ-ヿ一-鿿]")


def texts_of(texts: Texts) -> Iterator[tuple[str, str]]:
    """Yield every text with its key."""
    for field in fields(texts):
        value = getattr(texts, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", text) for key, text in value.items())
        elif isinstance(value, tuple):
            yield from ((f"{field.name}.{number}", text) for number, text in enumerate(value))
        else:
            yield field.name, value


def placeholders(text: str) -> set[str]:
    """Return the names of the values that `text` takes."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", Language)
def test_bot_texts_take_the_same_values(language: Language) -> None:
    """A language has the keys of English, none empty, each with the same placeholders."""
    english, other = dict(texts_of(TEXTS[Language.EN])), dict(texts_of(TEXTS[language]))
    assert other.keys() == english.keys()
    for key, text in other.items():
        assert text
        assert placeholders(text) == placeholders(english[key]), key
    assert set(TEXTS[language].role) == set(Access)
    assert set(TEXTS[language].adapter_state) == set(AdapterState)


def test_japanese_texts_are_japanese() -> None:
    """No English text was left in them."""
    for key, text in texts_of(TEXTS[Language.JA]):
        assert key == "separator" or JAPANESE.search(text), key


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.name)
def test_commands_are_described(spec: CommandSpec) -> None:
    """In both languages, with usage and an example that are of the command."""
    assert spec.usage.startswith(f"/{spec.name}")
    assert spec.example.startswith(f"/{spec.name}")
    assert set(spec.about) == set(Language)
    assert JAPANESE.search(spec.about[Language.JA])
    for option in spec.options:
        value = f"={'|'.join(option.values)}" if option.values else ""
        assert f"[--{option.name}{value}]" in spec.usage
    assert spec.floor <= spec.access


def test_commands_are_not_gitlabs_own() -> None:
    """GitLab keeps its quick actions to itself."""
    names = [spec.name for spec in COMMANDS]
    assert len(set(names)) == len(names)
    assert not GITLAB_QUICK_ACTIONS & set(names)
