"""Which lines of a note its author says, and which are only shown: code, quotes, HTML. Pure.

What a reader sees decides, so CommonMark does most of it. Quotes between `>>>` and HTML between tags on lines
of their own are GitLab's: its own quick actions do nothing in there either.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_CHARACTERS = 32_768  # nobody writes that much before a command, and a parser's time has to end
_SIGN = "\ue000"  # private use: signs a line with its number, to find it again after parsing
_SIGNED = re.compile(f"{_SIGN}(\\d+){_SIGN}")
_QUOTE = ">>>"
_OPENING_TAG = re.compile(r"<([a-zA-Z][\w-]*)(?:\s[^>]*)?>\s*")


class Hidden(StrEnum):
    """What a line is part of, where its author does not say it."""

    CODE = "code"
    HTML = "HTML"
    QUOTE = "a quote"
    UNSEEN = "text that is not shown"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a note; `hidden` is None where its author says it."""

    text: str
    hidden: Hidden | None = None


def lines_of(text: str, candidates: re.Pattern[str]) -> tuple[Line, ...]:
    """Return the lines of a note. Only for those that `candidates` matches it is known if they are said."""
    lines = text[:MAX_CHARACTERS].replace("\r", "").replace(_SIGN, "\ufffd").split("\n")
    wanted = {number for number, line in enumerate(lines) if candidates.match(line)}
    if not wanted:
        return tuple(map(Line, lines))
    signed = (f"{_SIGN}{n}{_SIGN}{line}" if n in wanted else line for n, line in enumerate(lines))
    tokens = _parser().parse("\n".join(signed))
    said = dict(_signs(tokens))
    said.update(_blocks(lines, _code_lines(tokens)))
    return tuple(
        Line(line, said.get(n, Hidden.UNSEEN) if n in wanted else None) for n, line in enumerate(lines)
    )


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark")


def _signs(tokens: Iterable[Token]) -> Iterator[tuple[int, Hidden | None]]:
    """Yield each signed line with what it is part of."""
    for token in tokens:
        match token.type:
            case "inline":
                yield from _signs(token.children or ())
            case "text":
                yield from ((number, None) for number in _numbers(token))
            case "fence" | "code_block" | "code_inline":
                yield from ((number, Hidden.CODE) for number in _numbers(token))
            case "html_block" | "html_inline":
                yield from ((number, Hidden.HTML) for number in _numbers(token))


def _numbers(token: Token) -> Iterator[int]:
    return map(int, _SIGNED.findall(token.content))


def _code_lines(tokens: Iterable[Token]) -> set[int]:
    return {n for token in tokens if token.type == "fence" and token.map for n in range(*token.map)}


def _blocks(lines: list[str], code: Collection[int]) -> Iterator[tuple[int, Hidden]]:
    """Yield the lines of GitLab's own blocks: from `>>>` to `>>>`, and from a tag to its end."""
    ends: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if line.startswith(("</", _QUOTE)) and number not in code:
            ends.setdefault(line.rstrip(), []).append(number)
    inside = -1  # the last line of a block
    for number, line in enumerate(lines):
        if number <= inside or number in code:
            continue
        tag = _OPENING_TAG.fullmatch(line)
        wanted = f"</{tag[1]}>" if tag else line.rstrip() if line.rstrip() == _QUOTE else ""
        later = ends.get(wanted, [])
        if (place := bisect_right(later, number)) < len(later):
            inside = later[place]
            kind = Hidden.HTML if tag else Hidden.QUOTE
            yield from ((within, kind) for within in range(number, inside + 1))
