"""Both languages say everything, with the same values in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from string import Formatter

import pytest

from engine.texts import Counted
from engine.wire import Language
from lsp.outages import State
from lsp.texts import TEXTS, Texts, language_of
from lsp.verdicts import WrongReason


def texts_of(texts: Texts) -> Iterator[tuple[str, str]]:
    """Yield every text with its key."""
    for field in fields(texts):
        value = getattr(texts, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", text) for key, text in value.items())
        elif isinstance(value, Counted):
            yield from ((f"{field.name}.one", value.one), (f"{field.name}.other", value.other))
        else:
            yield field.name, value


def placeholders(text: str) -> set[str]:
    """Return the names of the values that `text` takes."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_say_the_same() -> None:
    """Same keys, same placeholders, none empty, nothing left in English."""
    english, japanese = (dict(texts_of(TEXTS[language])) for language in Language)
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert text.strip()
        assert placeholders(text) == placeholders(japanese[key]), key
        assert text != japanese[key] or key == "state_reason", key


@pytest.mark.parametrize("language", Language)
def test_every_member_has_words(language: Language) -> None:
    """Each state and reason can be said."""
    assert set(TEXTS[language].state) == set(State)
    assert set(TEXTS[language].wrong_reason) == set(WrongReason)


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ja", "ja"), ("ja_JP.UTF-8", "ja"), ("JA-jp", "ja"), ("en-us", "en"), ("de", "en"), (None, "en")],
)
def test_the_editors_language(locale: str | None, language: str) -> None:
    """Japanese where the editor is, English anywhere else."""
    assert language_of(locale) == language
