"""A project's rules and wiki -> questions with their answers: one for each section. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from training.formats.conversations import Conversation
from training.history.records import Document

_SHORTEST, _LONGEST = 40, 2500
_JAPANESE = re.compile(r"[\u3040-\u30ff]")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_ASKED = 'What are the rules of this project about "{title}"?'
_ASKED_JA = "「{title}」について、このプロジェクトではどう決められていますか。"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with those above it, and the text up to the next heading."""

    titles: tuple[str, ...]
    text: str


def questions(document: Document) -> Iterator[Conversation]:
    """Yield a question for each section that says something and is not too long to learn."""
    for section in sections(document.text):
        text = _COMMENT.sub("", section.text).strip()
        if section.titles and _SHORTEST <= len(text) <= _LONGEST:
            title = ": ".join(section.titles)
            asked = (_ASKED_JA if _JAPANESE.search(text) else _ASKED).format(title=title)
            yield Conversation.of_pairs(((asked, text),))


def sections(text: str) -> Iterator[Section]:
    """Yield the sections of a Markdown text. A heading in a code block is none."""
    rows = text.split("\n")
    tokens = MarkdownIt("commonmark").parse(text)
    heads = [
        (int(token.tag[1:]), tokens[place + 1].content, token.map)
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.map and token.level == 0
    ]
    above: list[tuple[int, str]] = []
    for number, (depth, title, lines) in enumerate(heads):
        end = heads[number + 1][2][0] if number + 1 < len(heads) else len(rows)
        above = [each for each in above if each[0] < depth] + [(depth, title)]
        yield Section(tuple(name for _, name in above[-2:]), "\n".join(rows[lines[1] : end]))
