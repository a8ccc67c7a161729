"""The Japanese glossary: each entry is a message, and its placeholders can be filled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from training.glossary import entries, japanese_message

SAMPLES: dict[str, str] = json.loads(
    (Path(__file__).parent.parent / "data" / "training" / "glossary_samples.json").read_text(encoding="utf-8")
)


def test_every_entry_is_a_short_japanese_sentence() -> None:
    """Entries have kana, end as a sentence, fit a reply and quote code in closed backticks."""
    assert len(entries()) >= 150
    for rule, text in entries().items():
        assert re.search(r"[ぁ-ん]", text), rule
        assert text.endswith("。"), rule
        assert 10 <= len(text) <= 130, rule
        assert text.count("。") <= 3, rule
        assert text.count("`") % 2 == 0, rule
        assert set(re.findall(r"\{.*?\}", text)) <= {"{0}", "{1}"}, rule


@pytest.mark.parametrize(("rule", "message"), SAMPLES.items(), ids=SAMPLES.keys())
def test_placeholders_are_filled(rule: str, message: str) -> None:
    """A message of the tool's usual form leaves no placeholder open."""
    japanese = japanese_message(rule, message)
    assert japanese is not None
    assert "{" not in japanese


def test_fragments_are_taken_in_order() -> None:
    """The first quoted fragment is `{0}`, the second `{1}`, whatever quotes are used."""
    assert "`row`" in (japanese_message("B007", SAMPLES["B007"]) or "")
    assert "`quit`" in (japanese_message("PLR1722", SAMPLES["PLR1722"]) or "")
    assert "`api_token`" in (japanese_message("S105", SAMPLES["S105"]) or "")


def test_a_message_without_the_fragment_has_no_translation() -> None:
    """Quotes of a later sentence are about something else, so they are not taken."""
    assert japanese_message("B007", "Loop variable unused. Rename it to `_`.") is None


def test_an_unknown_rule_has_no_translation() -> None:
    """The caller keeps the English message."""
    assert japanese_message("made-up-rule", "Something.") is None
