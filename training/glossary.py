"""Japanese wording of linters' findings: rule code -> message, kept in `glossary_ja.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from training.messages import sentences

_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'")
_PLACE = re.compile(r"\{(\d)\}")


def japanese_message(rule: str, message: str) -> str | None:
    """Return the Japanese message for `rule`, or None if the glossary has none that fits.

    `{0}`, `{1}` in an entry stand for the quoted fragments of the first sentence of the English
    `message`; an entry does not fit a message that has too few of them.
    """
    entry = entries().get(rule)
    if entry is None:
        return None
    quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(sentences(message)[0])]
    if any(int(place) >= len(quoted) for place in _PLACE.findall(entry)):
        return None
    return _PLACE.sub(lambda match: quoted[int(match[1])], entry)


@cache
def entries() -> Mapping[str, str]:
    """Return the whole glossary."""
    text = resources.files("training").joinpath("glossary_ja.json").read_text(encoding="utf-8")
    loaded: dict[str, str] = json.loads(text)
    return loaded
