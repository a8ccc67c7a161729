"""A whole Markdown review of hostile text, read by a Markdown parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.findings import Category, Finding, Severity, Verdict
from engine.formats.markdown import render
from engine.wire import FileCoverage, Language, Review, SkipReason

DATA = Path(__file__).parents[2] / "data" / "sanitize" / "payloads.json"
PAYLOADS: list[str] = list(json.loads(DATA.read_text(encoding="utf-8")).values())
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
QUIET = {"text", "code_inline", "softbreak", "strong_open", "strong_close", "em_open", "em_close"}

payloads = st.sampled_from(PAYLOADS)


@st.composite
def hostile_reviews(draw: st.DrawFn) -> Review:
    """A review in which every text is a payload."""
    finding = Finding(
        path=draw(payloads),
        line=1,
        end_line=1,
        severity=draw(st.sampled_from(Severity)),
        category=draw(st.sampled_from(Category)),
        message=draw(payloads),
        suggestion=draw(st.none() | payloads),
        confidence=0.5,
        code=draw(payloads),
    )
    skipped = FileCoverage(
        path=draw(payloads), reviewed=False, reason=SkipReason.EXCLUDED, detail=draw(payloads)
    )
    return Review(
        verdict=Verdict.COMMENTS,
        findings=(finding, finding),
        coverage=(skipped,),
        language=draw(st.sampled_from(Language)),
        base_model=draw(payloads),
        adapter=draw(payloads),
        tool_version=draw(payloads),
    )


@settings(max_examples=200)
@given(hostile_reviews())
def test_nothing_acts(review: Review) -> None:
    """No payload becomes a link, an image, HTML, a heading, a quick action or another block of ours."""
    text = render(review)
    tokens = MARKDOWN.parse(text)
    assert not re.search(r"^/[A-Za-z]", text, re.MULTILINE)
    assert [token.type for token in tokens].count("heading_open") == 3
    assert [token.type for token in tokens].count("fence") <= 2
    assert {child.type for token in tokens for child in token.children or []} <= QUIET
    html = [token.content for token in tokens if token.type == "html_block"]
    assert len(html) == 2
    assert html[0].startswith("<details><summary>1 ")
    assert html[1].strip() == "</details>"
    assert [token.type for token in tokens].count("list_item_open") == 1
