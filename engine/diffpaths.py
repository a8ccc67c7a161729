"""File names as diff headers write them: quoting, prefixes, time stamps. Pure strings."""

from __future__ import annotations

import re

DEV_NULL = "/dev/null"

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_STAMP = re.compile(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [+-]\d{4})?$", re.ASCII)
_EPOCH = re.compile(r"\s(?:1970-01-01|1969-12-31)\s", re.ASCII)
# diff.mnemonicPrefix names what is compared: commit, index, object, work tree, or two plain files.
_LETTERS = "abciow12"
_PREFIX_PAIRS = {(f"{old}/", f"{new}/") for old in _LETTERS for new in _LETTERS if old != new}


def unquote(name: str) -> str:
    """Return `name` with git's C-style quoting undone; a name without quotes is returned as it is."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    raw = _ESCAPE.sub(_unescape, name[1:-1].encode("utf-8", "surrogatepass"))
    return raw.decode("utf-8", "replace")


def quote(name: str) -> str:
    """Return `name` as git writes it in a header with core.quotePath off: quoted only where it must be."""
    if not any(char < " " or char in '"\\\x7f' for char in name):
        return name
    return '"' + "".join(f"\\{ord(c):03o}" if c < " " or c in '"\\\x7f' else c for c in name) + '"'


def header_name(text: str) -> str:
    """Return the name in what follows `--- ` or `+++ `, without quotes and time stamp."""
    if quoted := _QUOTED.match(text):
        return unquote(quoted.group())
    if "\t" in text:
        return text.split("\t", 1)[0]
    return _STAMP.sub("", text).rstrip(" ") if _STAMP.search(text) else text


def is_epoch(text: str) -> bool:
    """Tell whether a `---` or `+++` line has the time stamp `diff -N` gives a file that does not exist."""
    return _EPOCH.search(text) is not None


def git_names(text: str) -> tuple[str, str] | None:
    """Return both names, prefixes still on, of what follows `diff --git `; None if they cannot be told apart.

    Unquoted names may hold spaces. Where git gives no other line to read them from, both are the same
    name behind prefixes of the same length, so the space in the very middle parts them.
    """
    if first := _QUOTED.match(text):
        rest = text[first.end() :]
        return (unquote(first.group()), unquote(rest[1:])) if rest[:1] == " " else None
    old, separator, quoted = text.partition(' "')
    if separator:
        return (old, unquote(f'"{quoted}')) if _QUOTED.fullmatch(f'"{quoted}') else None
    middle = len(text) // 2
    old, new = text[:middle], text[middle + 1 :]
    if text[middle : middle + 1] == " " and (old == new or old[2:] == new[2:]):
        return old, new
    names = text.split(" ")
    return (names[0], names[1]) if len(names) == 2 else None


def strip_prefixes(old: str, new: str) -> tuple[str, str]:
    """Return both names without `a/` and `b/` or one of git's other pairs; as they are with --no-prefix.

    A directory that happens to be called `a` stays: with --no-prefix both names begin with it.
    """
    if old == DEV_NULL:
        return old, _strip_one(new)
    if new == DEV_NULL:
        return _strip_one(old), new
    return (old[2:], new[2:]) if (old[:2], new[:2]) in _PREFIX_PAIRS else (old, new)


def shared_tail(old: str, new: str) -> str:
    """Return what two paths end in: `src/a.py` of `v1/src/a.py` and `v2/src/a.py`; may be empty."""
    if old == new:
        return old
    tail: list[str] = []
    for ours, theirs in zip(reversed(old.split("/")), reversed(new.split("/")), strict=False):
        if ours != theirs:
            break
        tail.append(ours)
    return "/".join(reversed(tail))


def _strip_one(name: str) -> str:
    return name[2:] if name[1:2] == "/" and name[0] in _LETTERS else name


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if code[:1].isdigit() and code[:1] < b"8":
        return bytes((int(code, 8) & 0xFF,))
    return _ESCAPED.get(code, code)
