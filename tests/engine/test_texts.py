"""Both languages say everything, with the same values in it."""

from __future__ import annotations

import pytest
from both_languages import require_same, texts_of

from engine.findings import Category, Severity, Verdict
from engine.texts import TEXTS
from engine.wire import Language, SkipReason


def test_every_language_is_there() -> None:
    """No language is without texts."""
    assert set(TEXTS) == set(Language)


@pytest.mark.parametrize("language", Language)
def test_keys_and_placeholders_are_equal(language: Language) -> None:
    """A language has the keys of English, none empty, each with the same placeholders."""
    require_same(TEXTS[Language.EN], TEXTS[language])


@pytest.mark.parametrize("language", Language)
def test_every_member_has_a_name(language: Language) -> None:
    """Each severity, category, verdict and reason can be said."""
    texts = TEXTS[language]
    assert set(texts.severity) == set(Severity)
    assert set(texts.category) == set(texts.category_meaning) == set(Category)
    assert set(texts.verdict) == set(Verdict)
    assert set(texts.skip_reason) == set(SkipReason)


def test_japanese_is_not_english() -> None:
    """No English text was left in the Japanese ones."""
    english, japanese = dict(texts_of(TEXTS[Language.EN])), dict(texts_of(TEXTS[Language.JA]))
    same = {key for key, text in japanese.items() if text == english[key]}
    assert same == set()


@pytest.mark.parametrize(
    ("count", "english", "japanese"),
    [
        (0, "0 findings", "指摘 0 件"),
        (1, "1 finding", "指摘 1 件"),
        (1234, "1,234 findings", "指摘 1,234 件"),
    ],
)
def test_counted(count: int, english: str, japanese: str) -> None:
    """Numbers take the right form and are grouped by thousands."""
    assert TEXTS[Language.EN].findings(count) == english
    assert TEXTS[Language.JA].findings(count) == japanese
