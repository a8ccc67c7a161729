"""Every static text a person reads in a review's output, in English and Japanese. Data and nothing else.

The two languages are instances of one type, so neither can lack a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.findings import Category, Severity, Verdict
from engine.wire import Language, SkipReason


@dataclass(frozen=True, slots=True)
class Counted:
    """A phrase with a number in it; Japanese uses one form for all."""

    one: str
    other: str

    def __call__(self, count: int) -> str:
        """Return the phrase for `count`."""
        return (self.one if count == 1 else self.other).format(count=f"{count:,}")


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language."""

    severity: Mapping[Severity, str]
    category: Mapping[Category, str]
    category_meaning: Mapping[Category, str]
    verdict: Mapping[Verdict, str]
    skip_reason: Mapping[SkipReason, str]

    title: str
    no_findings_in_part: str  # instead of the verdict's sentence when a partial review found nothing
    nothing_reviewed: str
    partial: str
    suggestion: str
    confidence: str  # {percent}
    severity_count: str  # {count} {severity}
    skipped_heading: str
    model: str  # {model}
    adapter: str  # {adapter}
    seconds: str  # {seconds}
    list_separator: str
    answer_truncated: str
    answer_left_out: str

    findings: Counted
    files_reviewed: Counted
    files_skipped: Counted
    lines_scored: Counted
    suppressed: Counted
    malformed: Counted
    more_files: Counted


_ENGLISH = Texts(
    severity={
        Severity.INFO: "info",
        Severity.MINOR: "minor",
        Severity.MAJOR: "major",
        Severity.CRITICAL: "critical",
    },
    category={
        Category.BUG: "bug",
        Category.SECURITY: "security",
        Category.PERFORMANCE: "performance",
        Category.MAINTAINABILITY: "maintainability",
        Category.STYLE: "style",
        Category.DOCS: "documentation",
        Category.TEST: "tests",
    },
    category_meaning={
        Category.BUG: "The code does something other than what it is meant to do.",
        Category.SECURITY: "The code can be abused or leaks what it should protect.",
        Category.PERFORMANCE: "The code takes more time or memory than it needs.",
        Category.MAINTAINABILITY: "The code is harder to understand or to change than it needs to be.",
        Category.STYLE: "The code departs from the conventions around it.",
        Category.DOCS: "Comments or documentation are missing, wrong or unclear.",
        Category.TEST: "Tests are missing, weak or wrong.",
    },
    verdict={
        Verdict.CLEAN: "Nothing to report.",
        Verdict.COMMENTS: "A few remarks, nothing that has to be changed.",
        Verdict.CHANGES_NEEDED: "Changes are needed.",
    },
    skip_reason={
        SkipReason.DELETED: "deleted file",
        SkipReason.BINARY: "binary file",
        SkipReason.NO_ADDED_LINES: "no added lines",
        SkipReason.GENERATED: "generated file",
        SkipReason.LOCK_FILE: "lock file",
        SkipReason.VENDORED: "third-party code",
        SkipReason.MINIFIED: "minified file",
        SkipReason.TOO_LARGE: "too large",
        SkipReason.EXCLUDED: "excluded by a path filter",
        SkipReason.UNSUPPORTED: "not a source file",
        SkipReason.CANCELLED: "not reached before the review was stopped",
    },
    title="Review",
    no_findings_in_part="No findings in the part that was reviewed.",
    nothing_reviewed="No file was reviewed.",
    partial="This review is incomplete: it was stopped early or a reply of the model was cut off.",
    suggestion="Suggestion",
    confidence="{percent} sure",
    severity_count="{count} {severity}",
    skipped_heading="Not reviewed",
    model="model {model}",
    adapter="adapter {adapter}",
    seconds="{seconds} s",
    list_separator=", ",
    answer_truncated="The answer was too long and is cut off.",
    answer_left_out="Some of the code around it, or of the diff, was too long to be read.",
    findings=Counted("{count} finding", "{count} findings"),
    files_reviewed=Counted("{count} file reviewed", "{count} files reviewed"),
    files_skipped=Counted("{count} file not reviewed", "{count} files not reviewed"),
    lines_scored=Counted("{count} line read", "{count} lines read"),
    suppressed=Counted(
        "{count} finding left out (dismissed, severity floor, limit or duplicate)",
        "{count} findings left out (dismissed, severity floor, limit or duplicates)",
    ),
    malformed=Counted(
        "{count} reply of the model was unusable", "{count} replies of the model were unusable"
    ),
    more_files=Counted("and {count} more", "and {count} more"),
)

_JAPANESE = Texts(
    severity={
        Severity.INFO: "情報",
        Severity.MINOR: "軽微",
        Severity.MAJOR: "重要",
        Severity.CRITICAL: "致命的",
    },
    category={
        Category.BUG: "バグ",
        Category.SECURITY: "セキュリティ",
        Category.PERFORMANCE: "性能",
        Category.MAINTAINABILITY: "保守性",
        Category.STYLE: "スタイル",
        Category.DOCS: "ドキュメント",
        Category.TEST: "テスト",
    },
    category_meaning={
        Category.BUG: "コードが意図と異なる動作をします。",
        Category.SECURITY: "悪用や情報漏えいにつながるおそれがあります。",
        Category.PERFORMANCE: "必要以上の時間またはメモリを使います。",
        Category.MAINTAINABILITY: "必要以上に理解や変更がしにくいコードです。",
        Category.STYLE: "周囲のコードの規約から外れています。",
        Category.DOCS: "コメントやドキュメントが不足しているか、誤っているか、不明瞭です。",
        Category.TEST: "テストが不足しているか、不十分か、誤っています。",
    },
    verdict={
        Verdict.CLEAN: "指摘事項はありません。",
        Verdict.COMMENTS: "いくつか指摘がありますが、必須の修正はありません。",
        Verdict.CHANGES_NEEDED: "修正が必要です。",
    },
    skip_reason={
        SkipReason.DELETED: "削除されたファイル",
        SkipReason.BINARY: "バイナリファイル",
        SkipReason.NO_ADDED_LINES: "追加行なし",
        SkipReason.GENERATED: "自動生成されたファイル",
        SkipReason.LOCK_FILE: "ロックファイル",
        SkipReason.VENDORED: "外部のコード",
        SkipReason.MINIFIED: "圧縮されたファイル",
        SkipReason.TOO_LARGE: "大きすぎるファイル",
        SkipReason.EXCLUDED: "パスの設定により除外",
        SkipReason.UNSUPPORTED: "ソースファイルではない",
        SkipReason.CANCELLED: "中断のため未レビュー",
    },
    title="レビュー",
    no_findings_in_part="レビューした範囲に指摘事項はありません。",
    nothing_reviewed="レビューしたファイルはありません。",
    partial="このレビューは不完全です。途中で中断されたか、モデルの応答が途中で切れました。",
    suggestion="修正案",
    confidence="確信度 {percent}",
    severity_count="{severity} {count}",
    skipped_heading="レビュー対象外",
    model="モデル {model}",
    adapter="アダプター {adapter}",
    seconds="{seconds} 秒",
    list_separator="、",
    answer_truncated="回答は長すぎるため、途中で切れています。",
    answer_left_out="周囲のコードまたは差分の一部は、長すぎるため読み込まれていません。",
    findings=Counted("指摘 {count} 件", "指摘 {count} 件"),
    files_reviewed=Counted("{count} ファイルをレビュー", "{count} ファイルをレビュー"),
    files_skipped=Counted("{count} ファイルは対象外", "{count} ファイルは対象外"),
    lines_scored=Counted("{count} 行を確認", "{count} 行を確認"),
    suppressed=Counted(
        "{count} 件の指摘を省略（却下済み、重要度の下限、件数の上限、または重複）",
        "{count} 件の指摘を省略（却下済み、重要度の下限、件数の上限、または重複）",
    ),
    malformed=Counted("モデルの応答 {count} 件は利用不可", "モデルの応答 {count} 件は利用不可"),
    more_files=Counted("ほか {count} 件", "ほか {count} 件"),
)

TEXTS: Mapping[Language, Texts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
