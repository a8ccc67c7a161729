"""Both languages of the bot say everything, with the same values in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from both_languages import require_same, texts_of

from bot.commands import GITLAB_QUICK_ACTIONS
from bot.gitlab import Access
from bot.handlers.catalogue import COMMANDS
from bot.registry import CommandSpec
from bot.review_texts import REVIEW_TEXTS
from bot.run_texts import RUN_TEXTS
from bot.texts import TEXTS
from engine.lifecycle import AdapterState
from engine.wire import Language

JAPANESE = re.compile(r"[ぁ-ヿ一-鿿]")
WORDS = re.compile(r"[A-Za-z]{2}")
PLACEHOLDER = re.compile(r"\{\w+\}")
ALL: Mapping[str, Mapping[Language, object]] = {
    "commands": TEXTS,
    "review": REVIEW_TEXTS,
    "run": RUN_TEXTS,
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("texts", ALL.values(), ids=ALL)
def test_bot_texts_take_the_same_values(texts: Mapping[Language, object], language: Language) -> None:
    """A language has the keys of English, each with the same placeholders."""
    require_same(texts[Language.EN], texts[language])


@pytest.mark.parametrize("texts", ALL.values(), ids=ALL)
def test_japanese_texts_are_japanese(texts: Mapping[Language, object]) -> None:
    """No English text was left in them; what has no words at all may be the same."""
    english = dict(texts_of(texts[Language.EN]))
    for key, text in texts_of(texts[Language.JA]):
        assert JAPANESE.search(text) or not WORDS.search(PLACEHOLDER.sub("", english[key])), key


def test_every_role_and_state_has_a_name() -> None:
    """In both languages."""
    for texts in TEXTS.values():
        assert set(texts.role) == set(Access)
        assert set(texts.adapter_state) == set(AdapterState)


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
