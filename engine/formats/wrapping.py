"""Where to break a line on a terminal, for text that mixes scripts with and without spaces. Pure.

Rich breaks at spaces only, which tears Japanese apart at every embedded English word.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

_WIDE = "\u2e80-\u303f\u3040-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffee"
_CLOSING = "、。，．・：；？！）］｝」』】》〉ーっゃゅょッャュョぁぃぅぇぉァィゥェォ々%％"
_OPENING = "（［｛「『【《〈"
_UNIT = re.compile(rf"\s*[{_OPENING}]*(?:[^\s{_WIDE}]+|[{_WIDE}]|$)[{_CLOSING}]*\s*")


def breaks(text: str, width: int) -> list[int]:
    """Return the offsets at which `text` is divided so that each part fits `width` cells but for spaces."""
    offsets, used = [], 0
    for unit in _UNIT.finditer(text):
        size = cell_len(unit.group().rstrip())
        if used and size and used + size > width:
            offsets.append(unit.start())
            used = 0
        if size > width:
            folds, used = _folds(unit.group(), unit.start(), width)
            offsets.extend(folds)
        else:
            used += cell_len(unit.group())
    return offsets


def _folds(unit: str, start: int, width: int) -> tuple[list[int], int]:
    """Return where a unit wider than a line is divided, and the cells its last part takes."""
    offsets, used = [], 0
    for index, character in enumerate(unit):
        size = cell_len(character)
        if used and used + size > width and not character.isspace():
            offsets.append(start + index)
            used = 0
        used += size
    return offsets, used
