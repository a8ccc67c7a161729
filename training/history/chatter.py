"""Which remarks say nothing about the code: thanks, approval, bare questions, orders, planted text. Pure."""

from __future__ import annotations

import re
import unicodedata

from engine.prompts import defuse
from training.history.outcomes import suggestions_of, without_suggestions

_PHRASES = """
looks good to me|looks good|look good|looks fine|lgtm|ship it|all good|sounds good|good catch|good job
good point
good idea|nice one|nice work|nice catch|nice|great|well done|cool|awesome|perfect|thank you|thanks|thx
cheers|a lot
so much|very much|okay|ok|sure|yes|yep|no|nope|done|fixed|resolved|addressed|agreed|agree|same here
same as above
same comment|same|ditto|see above|as above|ack|wip|ping|bump|never mind|nevermind|makes sense|got it
i see|i agree
i will|will do|updated|removed|approved|approve|sorry|my bad|oops|haha|lol|for you|for me|to me|it|that
this|here
too|please
"""
_PHRASES_JA = """
ありがとうございました|ありがとうございます|ありがとう|了解いたしました|了解しました|了解です|了解
承知いたしました|承知しました
承知です|対応いたしました|対応しました|対応済みです|対応済み|対応します|修正いたしました|修正しました
修正済みです|修正済み
修正します|確認しました|確認します|なるほどです|なるほど|良さそうです|よさそうです|良さそう|よさそう
いいと思います|良いと思います
問題ないです|問題なさそうです|問題ありません|同じくです|同じく|同上です|同上|上と同じです|上と同じ
よろしくお願いします
お願いいたします|お願いします|すみません|助かります|はい|いいえ|いいね|です
"""


def _longest_first(phrases: str) -> str:
    return "|".join(sorted(re.split(r"[|\n]", phrases.strip()), key=len, reverse=True))


_CHATTER = re.compile(rf"\b(?:{_longest_first(_PHRASES)})\b", re.I)
_CHATTER_JA = re.compile(_longest_first(_PHRASES_JA))
_CALLED = re.compile(r":[a-z0-9_+-]+:|@\S+|\w*さん")
_QUESTION = re.compile(r"[?？]\s*$")
_WORD = re.compile(r"[^\W\d_\u3040-\u9fff]{2,}|[\u3040-\u9fff]")
_EMPTY = """
what why how who where when which is it this that these those the for to of and or in on we you are was
were do does did can could should would will not need needs needed necessary required here there any
reason purpose point about meant mean be been so really sure still an as at by with your our they them
change changed changes correct right intended intentional used use happen happens happening sense make
makes thing code line now also only back doing don doesn didn isn just understand
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_COMMAND = re.compile(r"\s*(?:/[a-z_]+|@[\w.-]+\s+(?:review|ask|explain|help|describe|retrain))\b")
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|prior|above|earlier|all)\b"
    r".{0,30}\b(?:instructions?|prompts?|rules?)\b"
    r"|\byou are now (?:an?|the|in|acting|no longer)\b|\bsystem prompt\b"
    r"|(?:これまで|以前|上記)の(?:指示|命令)を?.{0,8}無視",
    re.I | re.S,
)
# What nobody types: zero-width spaces, direction marks, tags. A joiner makes emoji, a mark begins a file.
_INVISIBLE = re.compile("[\u200b\u200c\u202a-\u202e\u2060-\u2069\U000e0000-\U000e007f]|(?<!^)\ufeff")
_FEW_JA = 12


def is_chatter(body: str) -> bool:
    """Tell whether a note only thanks, agrees or reports; emoji and names say nothing either."""
    words = _words(body)
    if _is_about_code(body, words):
        return False
    text = "".join(char for char in words if unicodedata.category(char) not in ("So", "Sk", "Cn", "Mn"))
    left = _CHATTER_JA.sub(" ", _CHATTER.sub(" ", _CALLED.sub(" ", text)))
    return not _WORD.search(left) and not re.search(r"\d", left)


def is_empty_question(body: str) -> bool:
    """Tell whether a note asks without a word that is about something."""
    text = _words(body)
    if not _QUESTION.search(text) or _is_about_code(body, text) or re.search(r"\d", text):
        return False
    words = [word.lower() for word in _WORD.findall(text)]
    telling = any(word not in _EMPTY_WORDS and word.isascii() for word in words)
    return not telling and sum(not word.isascii() for word in words) < _FEW_JA


def _is_about_code(body: str, words: str) -> bool:
    return "`" in words or any(suggestions_of(body))


def is_command(body: str) -> bool:
    """Tell whether a note is an order to a bot."""
    return bool(_COMMAND.match(body))


def is_planted(text: str) -> bool:
    """Tell whether a text holds what only an attack on a model would: control tokens, hidden text, orders."""
    return defuse(text) != text or bool(_INVISIBLE.search(text) or _ORDERS.search(text))


def _words(body: str) -> str:
    """Return a note's words: neither quotes nor suggestions."""
    rows = without_suggestions(body).split("\n")
    return "\n".join(row for row in rows if not row.lstrip().startswith(">")).strip()
