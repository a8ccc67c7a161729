"""Secrets and personal data in one text -> placeholders, and a count of each kind. Pure; lines stay lines."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise

from engine.secrets import may_hold_secret, secret_pattern

SECRET, MAIL, PHONE, ADDRESS, CARD, PERSON = "[secret]", "[mail]", "[phone]", "[ip]", "[card]", "[person]"

_NAMED = re.compile(
    r"(?P<head>(?:passw(?:or)?d|passphrase|secret|api_?key|auth_?key|access_?key|private_?key"
    r"|credential|token)[\w.-]{0,20}[\"']?\s{0,4}(?::=|=>|[=:])\s{0,4})"
    r"(?P<quote>[\"'`])(?P<value>[^\"'`\n]{8,400})(?P=quote)",
    re.I,
)
_LITERAL = re.compile(r"(?P<quote>[\"'`])(?P<value>[A-Za-z0-9+/_=-]{24,400})(?P=quote)")
_INNOCENT = re.compile(
    r"\$|\{|<|%[sd(]|\*{3}|\.{3}|x{4,}|example|dummy|change.?me|placeholder|your[_ -]|test|fake|sample"
    r"|redacted|\s|^[a-z_.]+$|^[A-Z_.]+$|^(?:[a-z]+[-_.])+[a-z]+$|^https?:|^/",
    re.I,
)
_RESTLESS = 0.46
_MAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ -]?\(?\d{1,4}\)?(?:[ -]?\d{2,4}){2,4}|0\d{1,3}-\d{2,4}-\d{4})(?![\w.-])"
)
_IP = re.compile(r"(?<![\w.-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.-])")
_NOBODYS_IP = re.compile(
    r"(?:1\.2\.3|8\.8\.[48]|192\.0\.2|198\.51\.100|203\.0\.113"  # of examples
    r"|0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|255|22[4-9]|23\d)\."
)
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w.-])")
_HOME = re.compile(r"(?P<head>(?:/home/|/Users/|\\Users\\))(?P<value>[A-Za-z][\w.-]{1,40})(?=[/\\])")
_SIGNED = re.compile(
    r"(?P<head>@author +|\b(?:Signed-off|Co-authored|Reviewed|Acked)-by: *)(?P<value>[^\n<\[]{1,60}[^\s<\[])",
    re.I,
)
_MENTION = re.compile(r"(?<![\w`/.@])@(?P<value>[A-Za-z_][\w.-]{1,60}\w)")
_WORD = re.compile(r"\w+")
_KEYWORD = re.compile(
    r"(?:param|return|returns|see|link|throws|code|override|author|since|deprecated|inherit[dD]oc|test|all|here)\Z"
)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders, and what they stand for by kind."""

    text: str
    counts: Counter[str]


class Redactor:
    """Replaces secrets, and with `personal` what tells of people; `names` are full names known beforehand."""

    def __init__(self, names: Collection[str] = (), *, personal: bool = True, entropy: float = 4.3) -> None:
        self._personal, self._entropy = personal, entropy
        # A single word may be any word, and is no name here; scripts without spaces are told by themselves.
        self._spaced: dict[str, list[str]] = {}
        self._unspaced = [name for name in names if name and not name.isascii()]
        for name in names:
            if name.isascii() and len(_WORD.findall(name)) > 1:
                self._spaced.setdefault(_WORD.findall(name)[0], []).append(name)

    def __call__(self, text: str) -> Redacted:
        """Return the text with as many lines as before."""
        counts: Counter[str] = Counter()
        if may_hold_secret(text):
            text = secret_pattern().sub(lambda found: self._known(found, counts), text)
        text = _NAMED.sub(lambda found: self._named(found, counts), text)
        text = _LITERAL.sub(lambda found: self._literal(found, counts), text)
        if self._personal:
            text = self._without_people(text, counts)
        return Redacted(text, counts)

    def _known(self, found: re.Match[str], counts: Counter[str]) -> str:
        counts[f"secret: {found.lastgroup}"] += 1
        return SECRET + "\n" * found.group().count("\n")

    def _named(self, found: re.Match[str], counts: Counter[str]) -> str:
        value = found["value"]
        if _INNOCENT.search(value) or value == SECRET:
            return found.group()
        counts["secret: named literal"] += 1
        return f"{found['head']}{found['quote']}{SECRET}{found['quote']}"

    def _literal(self, found: re.Match[str], counts: Counter[str]) -> str:
        value = found["value"]
        # Digests in hexadecimal have 4 bits a character at most and are rarely secret.
        kinds = (str.isdigit, str.islower, str.isupper)
        mixed = all(any(kind(character) for character in value) for kind in kinds)
        if not mixed or entropy(value) < self._entropy or _changes(value) < _RESTLESS:
            return found.group()
        counts["secret: random literal"] += 1
        return f"{found['quote']}{SECRET}{found['quote']}"

    def _names_in(self, text: str) -> re.Pattern[str] | None:
        """Return a pattern of the names that may be in `text`: of thousands, hardly ever one."""
        firsts = self._spaced.keys() & set(_WORD.findall(text)) if self._spaced else ()
        found = [name for first in firsts for name in self._spaced[first] if name in text]
        bounded = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(found, key=len, reverse=True)]
        bounded += [re.escape(name) for name in self._unspaced if name in text]
        return re.compile("|".join(bounded)) if bounded else None

    def _without_people(self, text: str, counts: Counter[str]) -> str:
        def put(kind: str, value: str) -> Callable[[re.Match[str]], str]:
            def replace(found: re.Match[str]) -> str:
                counts[kind] += 1
                head = found["head"] if "head" in found.re.groupindex else ""
                return head + value

            return replace

        text = _MAIL.sub(put("mail address", MAIL), text)
        text = _SIGNED.sub(put("signature", PERSON), text)
        if (names := self._names_in(text)) is not None:
            text = names.sub(put("name", PERSON), text)
        text = _HOME.sub(put("home folder", "user"), text)
        text = _CARD.sub(lambda found: _card(found, counts), text)
        text = _PHONE.sub(put("telephone number", PHONE), text)
        return _IP.sub(lambda found: _address(found, counts), text)


def mentions_redacted(text: str) -> Redacted:
    """Return prose without the names it calls: in code an at sign means something else."""
    counts: Counter[str] = Counter()

    def replace(found: re.Match[str]) -> str:
        if _KEYWORD.match(found["value"]):
            return found.group()
        counts["mention"] += 1
        return f"@{PERSON}"

    return Redacted(_MENTION.sub(replace, text), counts)


def entropy(text: str) -> float:
    """Return the bits a character of `text` carries, by how often each occurs in it."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def _changes(text: str) -> float:
    """Return how often the kind of character changes, of all times it could: seldom in long names."""
    kinds = [
        "a" if char.islower() else "A" if char.isupper() else "1" if char.isdigit() else "-" for char in text
    ]
    return sum(one != other for one, other in pairwise(kinds)) / max(len(text) - 1, 1)


def _card(found: re.Match[str], counts: Counter[str]) -> str:
    digits = [int(character) for character in found.group() if character.isdigit()]
    doubled = [
        digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits[::-1])
    ]
    if sum(doubled) % 10 or len(set(digits)) < 4 or digits[0] not in (3, 4, 5, 6):
        return found.group()
    counts["card number"] += 1
    return CARD


def _address(found: re.Match[str], counts: Counter[str]) -> str:
    if _NOBODYS_IP.match(found.group()):
        return found.group()
    counts["address"] += 1
    return ADDRESS
