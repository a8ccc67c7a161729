"""Untrusted text made harmless: what a repository or the model wrote never acts where it is shown.

Two dangers, two layers. *Hidden* characters (escape sequences, bidi overrides, zero-width and tag characters)
are made visible for every output: `plain`, `one_line`. For Markdown, `inline`, `prose` and `fence` also keep
text from becoming markup or one of GitLab's own: quick actions, mentions, references, links, images, HTML.
"""

from __future__ import annotations

import json
import re

_HIDDEN = re.compile(
    "["
    "\0-\x08\x0b-\x1f\x7f-\x9f"  # controls, except tab and newline
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, Hangul and Khmer fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"  # zero width, bidi, separators
    "\ud800-\udfff"  # lone surrogates cannot be encoded
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags: text no one sees
    "]"
    # One variation selector picks a glyph; a second one in a row can only carry hidden bytes.
    "|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)

_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ASCII_RUN = re.compile(r"[!-~]+")
_MARKUP = re.compile(r"[\\`*_\[\]<>&~|$]")
_LINE_START = re.compile(r"^(?:([-+=/#:;])|(\d{1,9})([.)]))")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}

# What GitLab or another renderer turns into a mention, a reference or a link, wherever it stands in a word.
# Identifiers with an underscore are code anyway.
_ACTIVE = re.compile(
    r"@[\w.]|[#!&%~$^*]\w|[%~]\"|_|\[\[|^/\w"
    r"|://|\bwww\.|\b(?:mailto|javascript|data|vbscript|file|xmpp|tel):"
    r"|\b[0-9a-f]{7,40}\b|\bGL-\d",
    re.IGNORECASE | re.ASCII,
)
_LANGUAGE = re.compile(r"[\w+#.:-]*", re.ASCII)


def plain(text: str) -> str:
    """Return `text` with every hidden character visible. Lines and tabs stay; line ends become newlines."""
    return _HIDDEN.sub(_visible, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return `text` as `plain` does, on a single line without white space at its ends."""
    return " ".join(plain(text).split())


def inline(text: str) -> str:
    """Return Markdown, on one line, that shows `text` and does nothing else.

    Code spans of the text stay code; words that a renderer would act on become code.
    """
    source, parts, end = one_line(text), list[str](), 0
    for span in _SPAN.finditer(source):
        parts.extend((_words(source[end : span.start()]), code_span(span[2])))
        end = span.end()
    return _LINE_START.sub(_unstart, _join((*parts, _words(source[end:]))))


def prose(text: str) -> str:
    """Return Markdown that shows `text` with its lines, each made harmless as by `inline`."""
    return "\n".join(inline(line) for line in plain(text).strip().split("\n"))


def code_span(code: str) -> str:
    """Return Markdown that shows `code` as inline code."""
    body = one_line(code)
    if not body:
        return ""
    ticks = "`" * (_longest_run(body) + 1)
    pad = " " if body[0] == "`" or body[-1] == "`" else ""
    return f"{ticks}{pad}{body}{pad}{ticks}"


def fence(code: str, language: str = "") -> str:
    """Return a fenced Markdown block that shows `code`; nothing in it can close the fence or act."""
    ticks = "`" * max(3, _longest_run(code) + 1)
    info = language if _LANGUAGE.fullmatch(language) else ""
    return f"{ticks}{info}\n{_fenced(code)}\n{ticks}"


def is_verbatim(code: str) -> bool:
    """Return whether `fence` shows `code` unchanged, so that it can be offered as a suggestion to apply."""
    return _fenced(code) == code


def json_text(value: object, indent: int | None = 2) -> str:
    """Return `value` as JSON, readable in any script, hidden characters escaped; no newline at the end."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _HIDDEN.sub(lambda match: json.dumps(match.group())[1:-1], text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


def _words(text: str) -> str:
    return _ASCII_RUN.sub(lambda run: _word(run.group()), text)


def _word(word: str) -> str:
    if not _ACTIVE.search(word):
        return _escape(word)
    body = word.lstrip("(").rstrip(".,;:!?")
    if "(" not in body:
        body = body.rstrip(").,;:!?")
    before, _, after = word.partition(body)
    return _join((_escape(before), code_span(body), _escape(after)))


def _escape(text: str) -> str:
    return _MARKUP.sub(lambda match: _ENTITIES.get(match.group(), f"\\{match.group()}"), text)


def _join(parts: tuple[str, ...]) -> str:
    """Join `parts` so that touching backticks don't form a longer run, nor `$` and a backtick a formula."""
    joined = ""
    for part in filter(None, parts):
        touching = part[0] == "`" and joined[-1:] in ("`", "$")
        joined += f" {part}" if touching else part
    return joined


def _unstart(match: re.Match[str]) -> str:
    if match[1] == "/":
        return "&#47;"
    return f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}"


def _fenced(code: str) -> str:
    # GitLab looks for quick actions with a simpler idea of fences than Markdown's: no fence is relied on.
    return re.sub(r"^/(?=[A-Za-z])", " /", plain(code), flags=re.MULTILINE)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
