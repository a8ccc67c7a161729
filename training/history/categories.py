"""What kind of remark a reviewer made, by its words: category and severity, English and Japanese. Pure.

People do not label what they write. Labels of Conventional Comments count where there are some; else the
first category whose words are in the text, the rarer kinds first. A guess, and marked as one.
"""

from __future__ import annotations

import re

from engine.findings import Category, Severity

_LABEL = re.compile(
    r"\s*(?:\*\*)?(?P<label>praise|nit(?:pick)?|suggestion|issue|todo|question|thought|chore|note|typo"
    r"|polish"
    r"|bug|security|performance|style|docs|test)(?:\s*\((?P<more>[\w ,-]{1,40})\))?(?:\*\*)?\s*:",
    re.I,
)
_OF_LABEL = {
    "nit": (Category.STYLE, Severity.INFO),
    "nitpick": (Category.STYLE, Severity.INFO),
    "typo": (Category.DOCS, Severity.INFO),
    "polish": (Category.STYLE, Severity.INFO),
    "bug": (Category.BUG, Severity.MAJOR),
    "security": (Category.SECURITY, Severity.MAJOR),
    "performance": (Category.PERFORMANCE, Severity.MINOR),
    "style": (Category.STYLE, Severity.INFO),
    "docs": (Category.DOCS, Severity.INFO),
    "test": (Category.TEST, Severity.MINOR),
}
_SEVERITY = {
    Category.BUG: Severity.MAJOR,
    Category.SECURITY: Severity.MAJOR,
    Category.PERFORMANCE: Severity.MINOR,
    Category.MAINTAINABILITY: Severity.MINOR,
    Category.STYLE: Severity.INFO,
    Category.DOCS: Severity.INFO,
    Category.TEST: Severity.MINOR,
}
_WORDS: tuple[tuple[Category, str], ...] = (
    (
        Category.SECURITY,
        r"\b(?:security|insecure|vulnerab\w*|injection|xss|csrf|sanitiz\w+|escap(?:e|ing) (?:user|html"
        r"|sql)|credentials?"
        r"|secrets?|passwords?|plain ?text|encrypt\w*|authoriz\w+|permissions?|attack\w*|untrusted)\b"
        r"|脆弱|セキュリティ|インジェクション|認証|認可|権限|パスワード|暗号",
    ),
    (
        Category.PERFORMANCE,
        r"\b(?:performance|slow\w*|expensive|inefficien\w+|efficien\w+|n\+1|cach(?:e|ed|ing)|allocat\w+"
        r"|memory|latency"
        r"|quadratic|o\(n|hot path|overhead|faster|bottleneck)\b|性能|パフォーマンス|遅[いく]|メモリ"
        r"|キャッシュ|計算量|高速",
    ),
    (
        Category.TEST,
        r"\b(?:unit ?tests?|tests? (?:case|for|that|this)|(?:add|missing|write|need) (?:a "
        r"|some )?tests?|assert\w*|mocks?"
        r"|coverage|test case|flaky)\b|テスト|カバレッジ|モック",
    ),
    (
        Category.DOCS,
        r"\b(?:docs?|documentation|javadoc|docstring|comment(?:s|ed)?|typos?|spelling|grammar|readme"
        r"|changelog|wording"
        r"|license header)\b|コメント|ドキュメント|誤字|説明文|記載",
    ),
    (
        Category.BUG,
        r"\b(?:bug|wrong|incorrect|broken?|breaks|crash\w*|null|npe|none|race|deadlock|leak\w*|overflow"
        r"|off.by.one|exception"
        r"|throws?|fail(?:s|ed|ure)?|infinite|undefined|uninitiali[sz]ed|thread.safe\w*|concurren\w+"
        r"|corrupt\w*|missing"
        r"|never (?:called|closed|reached)|not (?:closed|handled|checked)|will not|won't|doesn't work"
        r"|edge case|closed?)\b"
        r"|バグ|不具合|例外|誤り|間違|漏れ|クラッシュ|リーク|競合|デッドロック|null|ヌル|おかしい",
    ),
    (
        Category.STYLE,
        r"\b(?:nit|style|format\w*|indent\w*|white ?space|blank line|new ?line|line length|camel ?case"
        r"|snake ?case|naming"
        r"|rename|typo|import order|unused import|final|braces?|spaces?|trailing|consisten\w+"
        r"|convention|static import)\b"
        r"|命名|インデント|改行|空白|フォーマット|スタイル|規約|統一",
    ),
)
_PATTERNS = tuple((category, re.compile(words, re.I)) for category, words in _WORDS)
_CRITICAL = re.compile(r"\b(?:critical|blocker|must not|data loss|blocking)\b|致命的|重大", re.I)
_MINOR = re.compile(r"\b(?:nit|minor|optional|non-blocking|feel free|maybe|could)\b|細かい|些細|好み", re.I)


def guess(message: str) -> tuple[Category, Severity]:
    """Return category and severity of a reviewer's words."""
    label = _LABEL.match(message)
    name, more = (label["label"].lower(), (label["more"] or "").lower()) if label else ("", "")
    named = next((category for category in Category if category.value in more), None)
    if named is None and name in _OF_LABEL:
        return _OF_LABEL[name]
    found = named or next((category for category, words in _PATTERNS if words.search(message)), None)
    category = found or Category.MAINTAINABILITY
    return category, _severity(message, more, _SEVERITY[category])


def _severity(message: str, more: str, usual: Severity) -> Severity:
    if "non-blocking" in more or _MINOR.search(message):
        return min(usual, Severity.MINOR)
    return Severity.CRITICAL if "blocking" in more or _CRITICAL.search(message) else usual
