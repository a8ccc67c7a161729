"""A note's Markdown -> HTML that can do nothing but be read. Pure.

HTML in a note is shown as text; only the folds of the bot's summary are let through, by name.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FOLDS = re.compile(r"&lt;(/?(?:details|summary))&gt;")
_RENDERER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def to_html(body: str) -> str:
    """Return a note as HTML, without its hidden comments."""
    html: str = _RENDERER.render(_COMMENT.sub("", body))
    return _FOLDS.sub(r"<\1>", html)
