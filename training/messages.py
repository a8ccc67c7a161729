"""Long review messages -> short ones that a small model can learn: what is wrong, then one sentence why."""

from __future__ import annotations

import re
from itertools import pairwise

LIMIT = 240
_WHY_LIMIT = 200
_CODE_LIMIT = 60
_CODE = re.compile(r"`[^`]*`")
_SENTENCE_END = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<=[.!?])[)\"'`]*\s+(?=[A-Z\"'`@(])")


def short_message(message: str) -> str:
    """Return at most two sentences and 240 characters of `message`: the remark itself, and why.

    A reason that is too long or was cut off with an ellipsis is left out rather than shortened again;
    quoted code longer than 60 characters becomes its beginning and an ellipsis.
    """
    text = _CODE.sub(lambda match: _short_code(match.group()), " ".join(message.split()))
    what, *rest = sentences(text)
    why = rest[0] if rest else ""
    if why and not why.endswith("…") and len(why) <= _WHY_LIMIT and len(what) + 1 + len(why) <= LIMIT:
        return f"{what} {why}"
    return what if len(what) <= LIMIT else _cut(what)


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`; what stands in backticks never ends one."""
    masked = _CODE.sub(lambda match: "`" + "x" * (len(match.group()) - 2) + "`", text)
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(masked)), len(text)]
    return [text[a:b].strip() for a, b in pairwise(starts)]


def _short_code(code: str) -> str:
    return code if len(code) <= _CODE_LIMIT + 2 else f"{code[:_CODE_LIMIT].rstrip()}…`"


def _cut(text: str) -> str:
    """Cut at a word, so that the result has at most LIMIT characters with its ellipsis."""
    return text[: LIMIT - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"
