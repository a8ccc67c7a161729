"""Both languages say everything, with the same values in it."""

from __future__ import annotations

import pytest
from both_languages import require_same, texts_of

from engine.wire import Language
from lsp.outages import State
from lsp.texts import TEXTS, language_of
from lsp.verdicts import WrongReason


def test_both_languages_say_the_same() -> None:
    """Same keys, same placeholders, none empty, nothing left in English."""
    require_same(TEXTS[Language.EN], TEXTS[Language.JA])
    english, japanese = (dict(texts_of(TEXTS[language])) for language in Language)
    assert [key for key, text in english.items() if text == japanese[key]] == []


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
